"""One recurrent family: cells as equations, networks on torch's fast path, extraction of states and gates."""
