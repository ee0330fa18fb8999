"""Circular supply chains: material graphs, product returns, policies, disruptions, simulators.

    schema.py         the form of a scenario; structure.py what holds between its parts
    file.py           reads and checks a scenario file, and takes its SHA-256; folder.py many
    generate.py       random scenarios; graph.py, products.py, returns.py, law.py are their parts
    arrays.py         many scenarios as one disconnected graph of flat arrays
    simulate.py       the vectorised simulator; step.py is one tick: recovery.py is the way back,
                      factories.py the way forward, booking.py and ledger.py keep the books
    events.py         the discrete-event simulator of the same world
    dynamics.py       mass by state in continuous time; chain_rates.py are its rates
    controllers.py    random, rule, greedy, exact; comply.py executes the nearest compliant action
    metrics.py        what a run was worth; cycling.py, resilience.py, score.py, pareto.py;
                      stakes.py the decisions of a tick, catastrophe.py where a run ends at once
    observation.py    what a policy on a device sees of an item
    episode.py        a run an action at a time: node_observation.py, node_action.py, reward.py
    plot.py           pictures of a run
    sweep.py          scenarios × controllers × seeds in a process pool

NumPy only inside; SciPy's HiGHS is called in linear_programs.py alone.
"""
