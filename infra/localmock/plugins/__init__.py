"""Stand-ins for the clouds' Pulumi providers, for the real engine on the stack `local` and nowhere else."""
