"""The words of the report page: what models, measures and thresholds are, said to a stranger."""

MODELS = {
    "blind_spot": "a network that foretells every dimension from all the others, without seeing "
    "the dimension itself",
    "dagmm": "an autoencoder whose codes are judged by a mixture of Gaussians",
    "gru_vae": "a recurrent variational autoencoder: it remembers what came before, squeezes every "
    "point into a few numbers, the latent, and rebuilds the point from them",
    "linear": "closed formulas alone: principal components, and every dimension foretold from the "
    "others by a linear regression",
    "lstm_vae": "a variational autoencoder with LSTMs: a window goes into one code, and is rebuilt "
    "from it",
    "mad_gan": "a generator of windows that look real, a discriminator that tells them from real "
    "ones, and an encoder that finds the code of a window",
    "mtad_gat": "two graph attentions, between dimensions and between points, a memory, a forecast "
    "and a reconstruction",
    "pca": "principal components of short windows, the linear control",
    "rvae": "a recurrent variational autoencoder: a window goes into one code, and is rebuilt from "
    "it",
    "slmr": "convolutions that foretell the next point and fill in hidden groups of dimensions",
    "usad": "two autoencoders with one encoder, trained against each other",
    "vae_lstm": "codes of short windows, each foretold by an LSTM from those before it",
}
ROWS = {
    "bundle": "this bundle: severity ranks, the threshold decides, contributions name culprits",
    "score": "this bundle, if points were ranked by its score",
    "untrained": "the same bundle around a network that never learned; what training is worth is "
    "the difference",
    "PCA": "squared error of a quarter as many principal components as dimensions",
    "input": "how far the scaled values themselves are from usual; no model at all",
    "random": "chance",
}
MEASURES = {
    "average precision": "Area under the curve of precision against recall, point by point. 1 is "
    "perfect; chance is the share of anomalous points.",
    "VUS-PR, W = 100": "The same area with some tolerance at the edges of events: mean over "
    "tolerances of up to 100 points.",
    "VUS-PR, W of the file": "The same, with a tolerance chosen for each series.",
    "point F1, oracle": "Best balance of precision and recall over points, with a threshold chosen "
    "on the labels: a ceiling, not a result.",
    "composite F1, oracle": "Best balance of point-wise precision and events found, with a "
    "threshold chosen on the labels: a ceiling, not a result.",
    "composite F1": "Balance of point-wise precision and events found, at the threshold that "
    "serves.",
    "events found": "Share of labelled events with at least one anomalous point.",
    "events found within 5 points": "Share of labelled events found by their fifth point.",
    "false episodes/day": "Runs of anomalous points outside every labelled event, per entity and "
    "day of data.",
    "flagged/nominal": "How many normal points were flagged, over how many were meant to be.",
    "median delay, points": "Points between the beginning of a found event and its first alarm.",
    "p90 delay, points": "The same for the slowest tenth.",
    "HitRate@100": "With as many dimensions named as are guilty: the share of guilty ones named.",
    "HitRate@150": "The same, with half as many more named.",
    "RC-Top3": "Share of events of which a guilty dimension is among the three most blamed.",
    "NDCG@100": "How high guilty dimensions stand in the ranking by blame; 1 is on top.",
}
THRESHOLDS = {
    "service": "the one that serves, from the budget: a score of 1",
    "pot": "peaks over threshold: a Pareto tail fitted once to calibration scores",
    "spot": "the same, going on with the stream",
    "dspot": "the same, on what a moving mean leaves over",
    "quantile": "exceeded by a fixed share of calibration scores",
    "epsilon": "mean plus some deviations, as many as calm the calibration scores most",
    "fixed": "a number",
    "best-f1 (oracle)": "chosen on the labels themselves: a ceiling for evaluation, not a result",
}
SCORE = (
    "Every point gets a score and a severity. The score decides: above 1 the point is anomalous, "
    "for every model and entity. It is the surprise of the point (minus the logarithm of the "
    "chance that a normal point looks at least this odd) over the surprise at which an alarm is "
    "due. The severity ranks and is drawn: it has no threshold, and is in nats; 7 is one in a "
    "thousand, 14 one in a million. The contribution of a dimension says how much of it is to be "
    "blamed on that dimension."
)
ENTITIES = (
    "Blue is what was measured, orange what the model expected, dots in red are alarms, and shaded "
    "stretches were labelled anomalous by people. Long curves are thinned so that every peak "
    "stays. The band is how far values strayed from what was expected in 99 % of held-out points."
)
LATENT = (
    "Where the code of the model (its latent) goes over time: its two widest directions, coloured "
    "by severity. What is normal comes back to the same places; what leaves them is new to the "
    "model."
)
NO_EXTRAS = (
    "The window graph of this bundle tells neither of attention nor of a latent: its model has "
    "none, or it was exported before they were told."
)
ATTENTION = {
    "attention": (
        "Before it foretells anything, the network turns every dimension up or down by a factor "
        "between 0 and 1. Shown is the mean over held-out windows."
    ),
    "feature_attention": (
        "Which dimension (row) looks at which others (columns), mean over held-out windows. Each "
        "row sums to 1. Colours begin at the smallest value, so mind the scale: small differences "
        "look large."
    ),
    "time_attention": (
        "Which point of the window (row) looks at which others (columns), mean over held-out "
        "windows; 0 is the newest point. Each row sums to 1."
    ),
}
