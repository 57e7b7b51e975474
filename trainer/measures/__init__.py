"""The measures of detection and attribution; each takes finite arrays and knows no models.

events          what all of them count: maximal runs of labelled points
ranking         average_precision, vus_pr, oracle_f1, oracle_composite_f1: of a score, no threshold
decisions       composite_f1, event_recall, recall_within, false_episodes, delays: of chosen flags
attribution     hit_rate, rc_top, ndcg: of a ranking of dimensions against culprits
point_adjusted  point_adjusted_f1: inflated, for comparison with what others published

"Oracle" measures choose the threshold on the labels themselves: a ceiling, never a result.
Undefined measures are NaN.
"""
