"""The bench: what a tunnelled request costs, beside nginx, OpenSSH and frp. `python -m bench --help`."""
