"""Intel TDX, by stage: `quote`, `qe`, `pck`, `collateral`, `tcb` and `verify`; `rules` is the owner's."""
