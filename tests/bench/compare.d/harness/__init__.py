"""What tests/bench/compare consists of: see there."""
