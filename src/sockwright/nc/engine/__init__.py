"""What runs a job: the event loop, the sessions in it, and what is told of them."""
