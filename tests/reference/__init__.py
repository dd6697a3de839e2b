"""Plain numpy of what the compiled worlds compute, written from their descriptions. Tests hold the kernels to it."""
