"""Tests, their doubles that speak real formats, and the local fleet."""

import os

# Before the first import of grpc: its handlers of fork() bring its threads up again in a child that is about
# to become another program, and abort it now and then ("epoll_wait error: Bad file descriptor").
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
