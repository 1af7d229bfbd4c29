"""The real Pulumi engine on the stack `local`: minutes of runs, so a lane of its own (make realcli)."""
