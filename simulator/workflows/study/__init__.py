"""Studies: several runs, and what they say about published trends.

`plan` holds what a study is made of, `an2023` a study, `measures` the numbers that trends are judged by, `carry_out`
the work. A new study is one module with a `Study` and one line in `STUDIES`.
"""

#: name -> module that holds it as `STUDY`
STUDIES = {"an2023": "simulator.workflows.study.an2023"}
