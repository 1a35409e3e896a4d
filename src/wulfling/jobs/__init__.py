"""Jobs from a laptop: send a folder, submit it as a person of the cluster, follow it, fetch it."""
