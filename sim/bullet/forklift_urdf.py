"""The forklift as URDF text, made from primitives and the numbers of config/bodies.yaml."""

from __future__ import annotations

from sim.bullet import groups
from sim.bullet.urdf import Triple, box, collision, document, inertial, joint, link, moments, visual
from sim.warehouse.bodies import Bodies

JOINTS = ("left_wheel_joint", "right_wheel_joint", "fork_joint")
LINKS = {-1: groups.CHASSIS, 0: groups.WHEELS, 1: groups.WHEELS, 2: groups.FORKS}  # Bullet link number: group
BASE_HEIGHT = 0.002  # m above the floor at which a robot is placed
CLEARANCE = 0.05  # m between floor and chassis
CASTER_RADIUS = 0.04  # m
WHEEL_MASS = 10.0  # kg
CASTER_GAP = 0.002  # m above the floor while level: a truck stands on its wheels and leans on one caster


def forklift_urdf(name: str, bodies: Bodies, colour: Triple) -> str:
    """URDF of one forklift; base_link lies on the floor below the middle of the driven axle, x towards the forks.

    Wheels touch the floor as spheres: one contact point each, exactly `track` apart, so turning needs no scrubbing.
    Their inertia is that of the geared motors as felt at the axle: without it the drive is so light against the truck
    that a solver of few iterations lets it creep. Casters belong to the chassis, which is frictionless: they slide
    where a real one rolls.
    """
    truck, forks = bodies.forklift, bodies.forks
    front, rear, radius = truck.front, truck.rear, truck.wheel_radius
    mast, post = 0.06, 0.05
    tall = truck.mast_height - CLEARANCE
    chassis = (truck.length - mast, truck.width, truck.height - CLEARANCE)
    chassis_at = (0.5 * (rear + front - mast), 0.0, CLEARANCE + 0.5 * chassis[2])
    mast_at = (front - 0.5 * mast, 0.0, CLEARANCE + 0.5 * tall)
    casters = [(end, 0.0, CASTER_RADIUS + CASTER_GAP) for end in (front - CASTER_RADIUS, rear + CASTER_RADIUS)]
    between = forks.spread + post
    paint, dark, steel, black = (*colour, 1.0), (0.16, 0.17, 0.19, 1.0), (0.62, 0.64, 0.67, 1.0), (0.05, 0.05, 0.05, 1)
    base = [
        inertial(truck.mass, (truck.balance, 0.0, 0.2), (truck.length, truck.width, truck.height)),
        collision(box(chassis), chassis_at),
        collision(box((mast, between, tall)), mast_at),
        *[collision(f'<sphere radius="{CASTER_RADIUS}"/>', at) for at in casters],
        visual(box(chassis), chassis_at, paint, "paint"),
        visual(
            box((0.4 * chassis[0], 0.8 * chassis[1], 0.25)),
            (chassis_at[0] - 0.09, 0.0, truck.height + 0.12),
            dark,
            "dark",
        ),
        *[
            visual(box((mast, post, tall)), (mast_at[0], side * 0.5 * forks.spread, mast_at[2]), dark, "dark")
            for side in (-1, 1)
        ],
        visual(box((mast, between, post)), (mast_at[0], 0.0, truck.mast_height), dark, "dark"),
    ]
    wheel = [
        moments(WHEEL_MASS, (0.0, 0.0, 0.0), (truck.rotor_inertia,) * 3),
        collision(f'<sphere radius="{radius}"/>', (0.0, 0.0, 0.0)),
        visual(f'<cylinder radius="{radius}" length="0.06"/>', (0.0, 0.0, 0.0), black, "black", roll=1.5708),
    ]
    plate, plate_high = 0.03, 0.35
    tine = (forks.length, forks.width, forks.thickness)
    tines_at = [(front + 0.5 * forks.length, side * 0.5 * forks.spread, 0.5 * forks.thickness) for side in (-1, 1)]
    plate_box = (plate, forks.spread + forks.width, plate_high)
    plate_at = (front + 0.5 * plate, 0.0, 0.5 * plate_high)
    carriage = [
        inertial(forks.mass, (front + 0.3 * forks.length, 0.0, 0.1), (forks.length, forks.spread, 0.2)),
        *[collision(box(tine), at) + visual(box(tine), at, steel, "steel") for at in tines_at],
        collision(box(plate_box), plate_at) + visual(box(plate_box), plate_at, dark, "dark"),
    ]
    links = [
        link("base_link", 0.0, base),
        link("left_wheel", truck.wheel_friction, wheel),
        link("right_wheel", truck.wheel_friction, wheel),
        link("forks", tine_friction(bodies), carriage),
    ]
    side = 0.5 * truck.track
    joints = [
        joint(JOINTS[0], "continuous", "left_wheel", (0.0, side, radius), (0, 1, 0)),
        joint(JOINTS[1], "continuous", "right_wheel", (0.0, -side, radius), (0, 1, 0)),
        joint(JOINTS[2], "prismatic", "forks", (0.0, 0.0, 0.0), (0, 0, 1), forks.max_height),
    ]
    return document(name, links + joints)


def tine_friction(bodies: Bodies) -> float:
    """The tines' coefficient in Bullet, which multiplies those of the two that touch; forks.friction is the product."""
    return bodies.forks.friction / bodies.pallet.friction
