"""featurescape_jobs: the library that runs on the cluster. It never imports ``featurescape``."""
