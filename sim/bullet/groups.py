"""Which bodies may touch which: Bullet collision groups, so that pairs nobody cares about cost nothing."""

FLOOR = 1
FIXED = 2  # walls, racks, stations
CHASSIS = 4  # chassis, mast and the two casters under it
WHEELS = 8
FORKS = 16
PALLETS = 32

COLLIDES_WITH = {
    FLOOR: CHASSIS | WHEELS | PALLETS,
    FIXED: CHASSIS | FORKS | PALLETS,
    CHASSIS: FLOOR | FIXED | CHASSIS | FORKS | PALLETS,
    WHEELS: FLOOR,
    FORKS: FIXED | CHASSIS | FORKS | PALLETS,
    PALLETS: FLOOR | FIXED | CHASSIS | FORKS | PALLETS,
}
SEEN_BY_LASER = FIXED | CHASSIS | PALLETS
