"""What the miner tells about workers, jobs and queue: snapshots of what is in memory, in Lotus's shapes."""
