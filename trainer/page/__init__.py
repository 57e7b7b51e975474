"""The report page: `report.html`, one file that a person can read who never heard of us."""
