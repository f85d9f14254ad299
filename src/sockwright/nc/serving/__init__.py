"""How clients are let in, and what several of them share."""
