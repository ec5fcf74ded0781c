"""What `make bench` measures. Ratios in one run: each module measures ours and what stands beside it, in turns."""
