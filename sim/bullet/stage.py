"""What a camera looks at: the robots and pallets of a world as looks, in a Bullet client that only draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pybullet

from sim.bullet.forklift import Forklift
from sim.bullet.pallets import Pallets
from sim.bullet.scenery import draw_pallet
from sim.warehouse.bodies import PalletBody


class Stage:
    """Looks that follow the bodies of another client, so that drawing cannot disturb the physics.

    Args:
        pallet: how big a pallet is.
        robots: who is on the stage.
    """

    def __init__(self, pallet: PalletBody, robots: Sequence[Forklift]) -> None:
        self._pallet = pallet
        self.client = pybullet.connect(pybullet.DIRECT)
        self._robots = {robot.name: robot.load_look(self.client) for robot in robots}
        self._pallets: dict[int, int] = {}

    def follow(self, robots: Sequence[Forklift], pallets: Pallets) -> None:
        """Put every look where its body is; pallets come and go."""
        for robot in robots:
            robot.copy_to(self.client, self._robots[robot.name])
        for pallet in self._pallets.keys() - set(pallets.ids()):
            pybullet.removeBody(self._pallets.pop(pallet), physicsClientId=self.client)
        for pallet in pallets.ids():
            if pallet not in self._pallets:
                self._pallets[pallet] = draw_pallet(self.client, self._pallet, pallets.sku(pallet))
            pallets.copy_to(self.client, self._pallets[pallet], pallet)

    def draw(
        self, width: int, height: int, view: Sequence[float], projection: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """A picture of what is there; see `draw`."""
        return draw(self.client, width, height, view, projection)

    def close(self) -> None:
        """Give the Bullet client back."""
        pybullet.disconnect(physicsClientId=self.client)


def draw(
    client: int, width: int, height: int, view: Sequence[float], projection: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw all that a client holds: RGB [height, width, 3] uint8, and depth [height, width], 1 where nothing is."""
    _, _, pixels, depth, _ = pybullet.getCameraImage(
        width,
        height,
        view,
        projection,
        shadow=0,
        lightDirection=(-3.0, -6.0, 10.0),
        lightAmbientCoeff=0.62,
        lightDiffuseCoeff=0.42,
        lightSpecularCoeff=0.02,
        renderer=pybullet.ER_TINY_RENDERER,
        flags=pybullet.ER_NO_SEGMENTATION_MASK,
        physicsClientId=client,
    )
    image = np.reshape(pixels, (height, width, 4))[..., :3].astype(np.uint8)
    return image, np.reshape(depth, (height, width))
