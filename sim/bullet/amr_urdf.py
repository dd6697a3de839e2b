"""The autonomous mobile robot as URDF text, made from primitives and the numbers of config/bodies.yaml."""

from __future__ import annotations

from sim.bullet import groups
from sim.bullet.urdf import Triple, box, collision, document, inertial, joint, link, moments, visual
from sim.warehouse.bodies import AmrBody

JOINTS = ("left_wheel_joint", "right_wheel_joint")
LINKS = {-1: groups.CHASSIS, 0: groups.WHEELS, 1: groups.WHEELS}  # Bullet link number: group
CLEARANCE = 0.03  # m between floor and chassis
CASTER_RADIUS = 0.025  # m
CASTER_GAP = 0.001  # m above the floor while level: it stands on its wheels and leans on one caster
WHEEL_MASS = 2.0  # kg of one, beside the chassis
PAINT, DARK, BLACK = (0.93, 0.55, 0.10, 1.0), (0.16, 0.17, 0.19, 1.0), (0.05, 0.05, 0.05, 1.0)


def amr_urdf(name: str, amr: AmrBody) -> str:
    """URDF of one AMR; base_link lies on the floor below the middle of the driven axle, which is its own middle.

    Wheels are spheres and casters slide, for the reasons of `sim.bullet.forklift_urdf`; a deck on top is drawn dark.
    """
    high = amr.height - CLEARANCE
    chassis, middle = (amr.length, amr.width, high), (0.0, 0.0, CLEARANCE + 0.5 * high)
    deck = (0.9 * amr.length, 0.9 * amr.width, 0.02)
    end = 0.5 * amr.length - CASTER_RADIUS
    ball = f'<sphere radius="{CASTER_RADIUS}"/>'
    base = [
        inertial(amr.mass - 2 * WHEEL_MASS, (0.0, 0.0, amr.mass_height), chassis),
        collision(box(chassis), middle),
        *[collision(ball, (at, 0.0, CASTER_RADIUS + CASTER_GAP)) for at in (-end, end)],
        visual(box(chassis), middle, PAINT, "paint"),
        visual(box(deck), (0.0, 0.0, amr.height), DARK, "dark"),
    ]
    wheel = [
        moments(WHEEL_MASS, (0.0, 0.0, 0.0), (amr.rotor_inertia,) * 3),
        collision(f'<sphere radius="{amr.wheel_radius}"/>', (0.0, 0.0, 0.0)),
        visual(f'<cylinder radius="{amr.wheel_radius}" length="0.04"/>', (0.0, 0.0, 0.0), BLACK, "black", roll=1.5708),
    ]
    side: float = 0.5 * amr.track
    places: tuple[Triple, Triple] = ((0.0, side, amr.wheel_radius), (0.0, -side, amr.wheel_radius))
    names = ("left_wheel", "right_wheel")
    return document(
        name,
        [
            link("base_link", 0.0, base),
            *[link(each, amr.wheel_friction, wheel) for each in names],
            *[joint(of, "continuous", each, at, (0, 1, 0)) for of, each, at in zip(JOINTS, names, places, strict=True)],
        ],
    )
