"""Keys that outlive a boot: the owner's."""
