"""From published raw files to one mixed file of chat rows: sources -> tasks -> pools -> blend.

``recipe data`` does all of it. A task alone, from Python:

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from dataset_builders.raw import RawData
    >>> from dataset_builders.task import Seeded, load_task
    >>> from dataset_builders.wording import messages
    >>> from spine.prompts import wordings

    >>> raw = RawData(Path(mkdtemp()))  # holds a folder a source
    >>> (raw / "mmlu").mkdir()
    >>> rows = "Which of these floats on water?,a nail,a cork,a coin,a brick,B"
    >>> (raw / "mmlu" / "auxiliary_train.csv").write_text(rows)
    62

    >>> task = load_task("mmlu_auxiliary")
    >>> question = next(task.build(raw, Seeded(seed=0, task=task.name)))
    >>> question.fields["options"][question.truth]
    'a cork'
    >>> system, user, assistant = messages(task, task.type, wordings(task.name)[0], question)
    >>> print(user["content"])
    Choose the right answer to the following question and respond with its number.
    Question: Which of these floats on water?
    0. a nail
    1. a cork
    2. a coin
    3. a brick
    Answer:
    >>> assistant["content"]
    '1'
"""
