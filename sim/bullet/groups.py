"""Which bodies may touch which: Bullet collision groups, so that pairs nobody cares about cost nothing."""

RAYS = 1  # of every ray test; Bullet's own choice
FLOOR = 2
FIXED = 4  # walls, racks, stations
CHASSIS = 8  # chassis, mast and the two casters under it
WHEELS = 16
FORKS = 32
PALLETS = 64

COLLIDES_WITH = {
    FLOOR: CHASSIS | WHEELS | PALLETS,
    FIXED: RAYS | CHASSIS | FORKS | PALLETS,
    CHASSIS: RAYS | FLOOR | FIXED | CHASSIS | FORKS | PALLETS,
    WHEELS: FLOOR,
    FORKS: FIXED | CHASSIS | FORKS | PALLETS,
    PALLETS: RAYS | FLOOR | FIXED | CHASSIS | FORKS | PALLETS,
}
