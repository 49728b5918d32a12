"""Everything below the agents: the nouns, the engine that runs scripts, and the services it is made of."""
