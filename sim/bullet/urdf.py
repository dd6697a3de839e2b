"""Pieces of URDF text from which the robots are made."""

from __future__ import annotations

from collections.abc import Sequence

Triple = tuple[float, float, float]


def document(name: str, elements: Sequence[str]) -> str:
    """The whole description of a robot of these links and joints."""
    return f'<?xml version="1.0"?>\n<robot name="{name}">\n' + "\n".join(elements) + "\n</robot>\n"


def link(name: str, friction: float, parts: list[str]) -> str:
    """A link of some parts, with the friction of its surface."""
    contact = f'<contact><lateral_friction value="{friction}"/></contact>'
    return f'<link name="{name}">{contact}\n' + "\n".join(parts) + "\n</link>"


def joint(name: str, kind: str, child: str, at: Triple, axis: Triple, upper: float | None = None) -> str:
    """A joint that hangs a link on base_link; with `upper` (m) it slides from 0 to there."""
    limit = "" if upper is None else f'<limit lower="0" upper="{upper}" effort="100000" velocity="10"/>'
    return (
        f'<joint name="{name}" type="{kind}"><parent link="base_link"/><child link="{child}"/>'
        f'<origin xyz="{_text(at)}"/><axis xyz="{_text(axis)}"/>{limit}<dynamics damping="0" friction="0"/></joint>'
    )


def inertial(mass: float, at: Triple, size: Triple) -> str:
    """The inertia of a box of even density, `size` about the middle `at`."""
    x, y, z = size
    return moments(mass, at, (mass / 12 * (y * y + z * z), mass / 12 * (x * x + z * z), mass / 12 * (x * x + y * y)))


def moments(mass: float, at: Triple, moments: Triple) -> str:
    """Mass (kg) and principal moments of inertia (kg m^2)."""
    ixx, iyy, izz = moments
    return (
        f'<inertial><origin xyz="{_text(at)}"/><mass value="{mass}"/>'
        f'<inertia ixx="{ixx}" iyy="{iyy}" izz="{izz}" ixy="0" ixz="0" iyz="0"/></inertial>'
    )


def collision(shape: str, at: Triple) -> str:
    """A shape that is felt."""
    return f'<collision><origin xyz="{_text(at)}"/><geometry>{shape}</geometry></collision>'


def visual(shape: str, at: Triple, rgba: tuple[float, ...], material: str, roll: float = 0.0) -> str:
    """A shape that is seen; `roll` (rad) about x."""
    return (
        f'<visual><origin xyz="{_text(at)}" rpy="{roll} 0 0"/><geometry>{shape}</geometry>'
        f'<material name="{material}"><color rgba="{_text(rgba)}"/></material></visual>'
    )


def box(size: Triple) -> str:
    """A box of that size (m)."""
    return f'<box size="{_text(size)}"/>'


def _text(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
