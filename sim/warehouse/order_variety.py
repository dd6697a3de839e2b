"""Orders of another mix than the fitted one: more that are small, and families that are asked for more than others.

For training: a fleet that has met only one mix is at a loss where a few families run out, as with a real centre's pick
lists.
"""

from __future__ import annotations

import numpy as np

from sim.warehouse.orders import OrderSettings, OrderStream, generate
from sim.warehouse.randomisation import Draw
from sim.warehouse.settings import SKUS


def generate_drawn(
    settings: OrderSettings, rng: np.random.Generator, duration: float, draw: Draw, load: float = 1.0
) -> OrderStream:
    """The generator's orders for one world and episode, at `load` times the rate of the settings."""
    scaled = settings.model_copy(update={"lines_per_hour": settings.lines_per_hour * load * draw.demand})
    if draw.small_orders > 0.0 or draw.skew > 0.0:
        return generate_varied(scaled, rng, duration, draw.small_orders, draw.skew)
    return generate(scaled, int(rng.integers(2**31)), duration)


def generate_varied(
    settings: OrderSettings, rng: np.random.Generator, duration: float, small_orders: float, skew: float
) -> OrderStream:
    """`generate` with the same lines in an hour, of which more than usual are small orders or of favoured families.

    Args:
        settings: of the orders; their fitted shares are what is varied.
        rng: all chance comes from it.
        duration: s.
        small_orders: share of the orders that are cut to one line.
        skew: standard deviation of the logarithm of each family's factor of popularity.
    """
    popularity = np.asarray(settings.popularity) / sum(settings.popularity)
    favour = np.exp(skew * rng.standard_normal(SKUS))
    favour /= favour.max()
    share = np.asarray(settings.lines_per_order) / sum(settings.lines_per_order)
    lines = float(share @ np.arange(1, len(share) + 1))
    more = lines / (lines + small_orders * (1.0 - lines)) / float(popularity @ favour)
    busier = settings.model_copy(update={"lines_per_hour": settings.lines_per_hour * more})
    stream = generate(busier, int(rng.integers(2**31)), duration)
    kept = rng.random(len(stream.time)) < favour[stream.sku[:, 0]]  # thinned by what the first line asks for
    is_cut = rng.random(len(stream.time)) < small_orders
    n_lines = np.where(is_cut, 1, stream.n_lines).astype(np.int32)
    sku = np.where(np.arange(stream.sku.shape[1]) < n_lines[:, None], stream.sku, -1).astype(np.int32)
    return OrderStream(stream.time[kept], stream.due[kept], stream.dock[kept], n_lines[kept], sku[kept], stream.cutoffs)
