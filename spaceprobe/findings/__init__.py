"""What was found: questions about folding, each answered by a shipped study, and the page that says so.

A finding is a file of `spaceprobe.findings.questions`. The results that its page shows are committed in the
repository, below ``docs/findings``, not in the package; ``scripts/findings.py`` keeps them and writes the
page.
"""

import spaceprobe.report  # noqa: F401 - before matplotlib, whose list of fonts it looks at
