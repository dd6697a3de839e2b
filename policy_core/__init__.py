"""Kinds of agents, differentiable messages between them, multi-agent PPO, policy bundles and their serving."""

import os

# OpenMP threads that wait by spinning take the cores from whoever shares the machine: with one other busy process
# a two-thread update was measured ten times slower. Works only while torch is not yet imported; yours wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
