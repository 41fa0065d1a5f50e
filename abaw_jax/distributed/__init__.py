"""Device mesh, several processes, and preemption."""
