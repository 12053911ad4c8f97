"""Sessions that break one requirement each. The name of a trace is the requirement, two dashes, and what happens."""

from broken_alike import ALIKE
from broken_end import END
from broken_opening import OPENING
from broken_provoked import PROVOKED
from broken_rest import REST
from broken_results import RESULTS
from broken_stuck import STUCK

BROKEN = OPENING | RESULTS | REST | END | STUCK | PROVOKED | ALIKE
