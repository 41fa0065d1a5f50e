"""Memory, communication and time of a step on TPUs, from its compiled program."""
