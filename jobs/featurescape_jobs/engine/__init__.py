"""The engine of bulk jobs: frozen rows, shards and workers, exactly once; storage; choices of a whole job."""
