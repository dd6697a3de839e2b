"""Recordings of a run: MCAP files with the `ros2` profile, and the rosbag2 metadata beside them."""
