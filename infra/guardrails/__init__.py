"""The CrossGuard pack: what may never leave a preview, whoever wrote it. Pulumi runs `__main__.py`."""
