"""Attention over the inbox as one differentiable operation: numba kernels on the CPU, with the gradient by hand.

Plain torch walks through memory a dozen times for the few hundred numbers that a receiver needs. A kernel takes
LANES groups at a time into small buffers whose last axis is the group, so that one vector instruction serves all of
them and everything stays in the nearest cache. A group is a fleet whose receivers hear the same senders, or a single
receiver with a list of senders of its own; either way the cost is linear in the links.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from policy_core.comm.layer import EDGE_SIZE, masked_softmax

LANES = 16  # groups in one pass of a kernel: a float32 vector of AVX-512; LLVM leaves shorter loops scalar


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_query: Tensor,
    edges: Tensor,
    heard: Tensor,
    senders: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention of R receivers to what they hear of S senders, in H heads of D numbers.

    A link scores <query, key> / sqrt(D) + <edge_query, edges>, and weighs as the softmax over the heard links says.

    Args:
        query: [B, R, H, D], any strides, as all others.
        key: [B, S, H, D].
        value: [B, S, H, D].
        edge_query: [B, R, H, 5].
        edges: features of every link [B, R, J, 5]; get no gradient.
        heard: [B, R, J] bool.
        senders: whose message each link brings [B, R, J] int64; without it J is S, and link j brings sender j's.

    Returns:
        Sums of values [B, R, H * D] and of edges [B, R, H * 5], weighted; zeros where nobody is heard.
        Differentiable in query, key, value and edge_query.
    """
    batch, receivers = heard.shape[:2]
    groups = batch if senders is None else batch * receivers
    if query.device.type != "cpu" or groups < LANES:  # a robot's single decision waits for no compiler
        return attend_plainly(query, key, value, edge_query, edges, heard, senders)
    rows = torch.arange(batch * key.shape[1]).view(batch, -1)  # of every fleet's senders in the flat key and value
    if senders is not None:
        rows = rows.unsqueeze(1).expand(-1, receivers, -1).gather(-1, senders).flatten(0, 1)
        query, edge_query, edges, heard = (
            part.flatten(0, 1).unsqueeze(1) for part in (query, edge_query, edges, heard)
        )
    values, edge_values = _Attend.apply(query, key.flatten(0, 1), value.flatten(0, 1), edge_query, edges, heard, rows)
    return values.view(batch, receivers, -1), edge_values.view(batch, receivers, -1)


def attend_plainly(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_query: Tensor,
    edges: Tensor,
    heard: Tensor,
    senders: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The same as `attend` in plain torch: on other devices, for few groups, and to compare with."""
    if senders is None:
        score = query.transpose(1, 2) @ key.permute(0, 2, 3, 1)  # [B, H, R, J]
    else:
        fleet = torch.arange(key.shape[0], device=key.device).view(-1, 1, 1)
        key, value = key[fleet, senders], value[fleet, senders]  # [B, R, J, H, D]
        score = (query.unsqueeze(2) * key).sum(-1).permute(0, 3, 1, 2)
    edge_score = (edge_query @ edges.transpose(-1, -2)).transpose(1, 2)
    weight = masked_softmax(score / math.sqrt(query.shape[-1]) + edge_score, heard.unsqueeze(1))
    if senders is None:
        values = (weight @ value.transpose(1, 2)).transpose(1, 2)
    else:
        values = (weight.permute(0, 2, 3, 1).unsqueeze(-1) * value).sum(2)
    return values.flatten(2), (weight.transpose(1, 2) @ edges).flatten(2)


class _Attend(torch.autograd.Function):
    """`attend` of G groups: query [G, R, H, D]; key and value [all senders, H, D]; rows [G, J] of these."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        edge_query: Tensor,
        edges: Tensor,
        heard: Tensor,
        rows: Tensor,
    ) -> tuple[Tensor, Tensor]:
        groups, receivers, heads, depth = query.shape
        weights = query.new_empty(math.ceil(groups / LANES), heads, receivers, rows.shape[1], LANES)
        values, edge_values = query.new_empty(query.shape), query.new_empty(edge_query.shape)
        inputs = (query, key, value, edge_query, edges, heard, rows)
        _kernels(depth, query.dtype).forward(*_arrays(*inputs, weights, values, edge_values))
        ctx.save_for_backward(query, key, value, edges, rows, weights)
        return values, edge_values

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = ctx.saved_tensors[:3]
        d_query, d_edge_query = query.new_empty(query.shape), query.new_empty(grads[1].shape)
        d_key, d_value = key.new_zeros(key.shape), value.new_zeros(value.shape)
        outputs = (d_query, d_key, d_value, d_edge_query)
        _kernels(query.shape[-1], query.dtype).backward(*_arrays(*ctx.saved_tensors, *grads, *outputs))
        return (*outputs, None, None, None)


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]


class _Kernels(NamedTuple):
    forward: Callable[..., None]
    backward: Callable[..., None]


@cache
def _kernels(depth: int, precision: torch.dtype) -> _Kernels:
    """Compile for heads of D = `depth` numbers: only loops of known length become vector instructions.

    Axes as above; i is the lane, base the tile's first group. Lanes beyond the last group are never written out.
    """
    name = str(precision).removeprefix("torch.")
    real = np.dtype(name).type
    D, C, L = depth, EDGE_SIZE, LANES
    scale, zero, one = real(1 / math.sqrt(D)), real(0), real(1)
    lowest, least, deepest = real(-1e9), real(1e-9), real(-80)  # e^-80 weighs nothing
    log2_e, ln_2 = real(1 / math.log(2)), real(math.log(2))
    series = tuple(real(1 / math.factorial(n)) for n in reversed(range(8 if name == "float32" else 14)))  # of e^x
    powers = np.array([2.0**n for n in range(-127, 1)], real)
    x3, x4, x5, flags, index = f"{name}[:,:,:]", f"{name}[:,:,:,:]", f"{name}[:,:,:,:,::1]", "b1[:,:,:]", "i8[:,:]"
    liberties = {"reassoc", "contract", "arcp", "nsz"}  # not with NaN and infinity: bad numbers must stay visible
    compiled = {"cache": True, "fastmath": liberties, "nogil": True, "error_model": "numpy"}

    @njit(f"void({x4}, {x3}, {x3}, {x4}, {x4}, {flags}, {index}, {x5}, {x4}, {x4})", **compiled)
    def forward(query, key, value, edge_query, edges, heard, rows, weights, values, edge_values):  # type: ignore[no-untyped-def]
        G, R, H, _ = query.shape
        J = rows.shape[1]
        q, eq = np.zeros((R, H, D, L), real), np.zeros((R, H, C, L), real)
        k, v = np.zeros((J, H, D, L), real), np.zeros((J, H, D, L), real)
        e, is_heard = np.zeros((R, J, C, L), real), np.zeros((R, J, L), real)
        out, edge_out, top, total = np.zeros((D, L), real), np.zeros((C, L), real), np.zeros(L, real), np.zeros(L, real)
        for tile in range(weights.shape[0]):
            base = tile * L
            lanes = min(L, G - base)
            for j in range(J):
                for i in range(lanes):
                    row = rows[base + i, j]
                    for h in range(H):
                        for d in range(D):
                            k[j, h, d, i] = key[row, h, d]
                            v[j, h, d, i] = value[row, h, d]
            for r in range(R):
                for i in range(lanes):
                    for h in range(H):
                        for d in range(D):
                            q[r, h, d, i] = query[base + i, r, h, d] * scale
                        for c in range(C):
                            eq[r, h, c, i] = edge_query[base + i, r, h, c]
                    for j in range(J):
                        is_heard[r, j, i] = one if heard[base + i, r, j] else zero
                        for c in range(C):
                            e[r, j, c, i] = edges[base + i, r, j, c]
            for h in range(H):
                for r in range(R):
                    w = weights[tile, h, r]
                    top[:] = lowest
                    total[:] = zero
                    for j in range(J):
                        for i in range(L):
                            score = q[r, h, 0, i] * k[j, h, 0, i]
                            for d in range(1, D):
                                score += q[r, h, d, i] * k[j, h, d, i]
                            for c in range(C):
                                score += eq[r, h, c, i] * e[r, j, c, i]
                            score = score if is_heard[r, j, i] > zero else lowest
                            w[j, i] = score
                            top[i] = max(top[i], score)
                    for j in range(J):
                        for i in range(L):
                            x = max(w[j, i] - top[i], deepest)
                            n = np.rint(x * log2_e)  # e^x = 2^n e^(x - n ln 2), the latter by its series
                            x -= n * ln_2
                            power = series[0]
                            for term in series[1:]:
                                power = power * x + term
                            place = min(max(np.int32(n) + 127, 0), 127)  # also where n is not a number
                            w[j, i] = power * powers[place] * is_heard[r, j, i]
                            total[i] += w[j, i]
                    for i in range(L):
                        total[i] = one / max(total[i], least)
                    out[:] = zero
                    edge_out[:] = zero
                    for j in range(J):
                        for i in range(L):
                            w[j, i] *= total[i]
                        for i in range(L):
                            for d in range(D):
                                out[d, i] += w[j, i] * v[j, h, d, i]
                        for i in range(L):
                            for c in range(C):
                                edge_out[c, i] += w[j, i] * e[r, j, c, i]
                    for i in range(lanes):
                        for d in range(D):
                            values[base + i, r, h, d] = out[d, i]
                        for c in range(C):
                            edge_values[base + i, r, h, c] = edge_out[c, i]

    @njit(f"void({x4}, {x3}, {x3}, {x4}, {index}, {x5}, {x4}, {x4}, {x4}, {x3}, {x3}, {x4})", **compiled)
    def backward(  # type: ignore[no-untyped-def]
        query, key, value, edges, rows, weights, d_values, d_edge_values, d_query, d_key, d_value, d_edge_query
    ):
        G, R, H, _ = query.shape
        J = rows.shape[1]
        q, g, eg = np.zeros((R, H, D, L), real), np.zeros((R, H, D, L), real), np.zeros((R, H, C, L), real)
        k, v = np.zeros((J, H, D, L), real), np.zeros((J, H, D, L), real)
        dk, dv = np.zeros((J, H, D, L), real), np.zeros((J, H, D, L), real)
        dq, deq = np.zeros((D, L), real), np.zeros((C, L), real)
        e, slope, mean = np.zeros((R, J, C, L), real), np.zeros((J, L), real), np.zeros(L, real)
        for tile in range(weights.shape[0]):
            base = tile * L
            lanes = min(L, G - base)
            for j in range(J):
                for i in range(lanes):
                    row = rows[base + i, j]
                    for h in range(H):
                        for d in range(D):
                            k[j, h, d, i] = key[row, h, d]
                            v[j, h, d, i] = value[row, h, d]
            for r in range(R):
                for i in range(lanes):
                    for h in range(H):
                        for d in range(D):
                            q[r, h, d, i] = query[base + i, r, h, d] * scale
                            g[r, h, d, i] = d_values[base + i, r, h, d]
                        for c in range(C):
                            eg[r, h, c, i] = d_edge_values[base + i, r, h, c]
                    for j in range(J):
                        for c in range(C):
                            e[r, j, c, i] = edges[base + i, r, j, c]
            dk[:] = zero
            dv[:] = zero
            for h in range(H):
                for r in range(R):
                    w = weights[tile, h, r]
                    mean[:] = zero
                    dq[:] = zero
                    deq[:] = zero
                    for j in range(J):  # softmax: d score = weight (d weight - mean of d weight)
                        for i in range(L):
                            d_weight = g[r, h, 0, i] * v[j, h, 0, i]
                            for d in range(1, D):
                                d_weight += g[r, h, d, i] * v[j, h, d, i]
                            for c in range(C):
                                d_weight += eg[r, h, c, i] * e[r, j, c, i]
                            slope[j, i] = d_weight
                            mean[i] += d_weight * w[j, i]
                    for j in range(J):
                        for i in range(L):
                            slope[j, i] = (slope[j, i] - mean[i]) * w[j, i]
                        for i in range(L):
                            for d in range(D):
                                dq[d, i] += slope[j, i] * k[j, h, d, i]
                        for i in range(L):
                            for d in range(D):
                                dk[j, h, d, i] += slope[j, i] * q[r, h, d, i]
                                dv[j, h, d, i] += w[j, i] * g[r, h, d, i]
                        for i in range(L):
                            for c in range(C):
                                deq[c, i] += slope[j, i] * e[r, j, c, i]
                    for i in range(lanes):
                        for d in range(D):
                            d_query[base + i, r, h, d] = dq[d, i] * scale
                        for c in range(C):
                            d_edge_query[base + i, r, h, c] = deq[c, i]
            for j in range(J):
                for i in range(lanes):
                    row = rows[base + i, j]
                    for h in range(H):
                        for d in range(D):
                            d_key[row, h, d] += dk[j, h, d, i]
                            d_value[row, h, d] += dv[j, h, d, i]

    return _Kernels(forward, backward)
