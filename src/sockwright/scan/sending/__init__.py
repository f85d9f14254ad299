"""Raw probes on their way out in batches, and their answers on the way in by a packet ring."""
