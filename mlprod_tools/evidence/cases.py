"""The ten cases in two parallel forms, their right answers, and the misconception behind each wrong option.

This file never reaches learners: their notebooks hold the texts and the options alone. Both forms of a case have one idea, one
way to the answer and the same three misconceptions; story and figures differ. `EDITION` grows when an answer to an old text may
not mean the same any more. tests/test_evidence.py computes the answers that are numbers.
"""

from dataclasses import dataclass

EDITION = 1
FORMS = ("A", "B")
LETTERS = ("a", "b", "c", "d")
UNKNOWN = "?"  # "I don't know": wrong, but no misconception
# where the right option stands, case by case: each place five times in both forms together
RIGHT = {"A": "cadbbacdca", "B": "bdacdbacdb"}


@dataclass(frozen=True)
class Version:
    """One case in one form: the text (Markdown), the right option, three wrong ones."""

    text: str
    right: str
    wrong: tuple


@dataclass(frozen=True)
class Case:
    """A case in both forms. `misconceptions` are (exercise, name) pairs, one for each wrong option."""

    lesson: str
    idea: str
    misconceptions: tuple
    a: Version
    b: Version

    def version(self, form):
        """The case in form "A" or "B"."""
        return {"A": self.a, "B": self.b}[form]


def options(number, form):
    """What the letters stand for.

    Parameters
    ----------
    number : int
        Of the case, from 1 to 10.
    form : str
        "A" or "B".

    Returns
    -------
    dict
        Letter -> (text, index of its misconception in the case; None for the right option).

    Examples
    --------
    >>> options(3, "A")["d"]
    ('About 56%', None)
    """
    version = CASES[number - 1].version(form)
    wrong = [(text, k) for k, text in enumerate(version.wrong)]
    turn = number % len(wrong)  # the first misconception does not always come first
    wrong = wrong[turn:] + wrong[:turn]
    place = LETTERS.index(RIGHT[form][number - 1])
    wrong.insert(place, (version.right, None))
    return dict(zip(LETTERS, wrong, strict=True))


CASES = (
    Case(
        "01",
        "Only the error shows that the same inputs now get another answer",
        (("1.1", "error_means_inputs"), ("1.1", "model_notices"), ("2.8", "quiet_is_good")),
        Version(
            "A courier service predicts how many minutes a trip will take, from the straight-line distance and the hour of the "
            "day. The model is never retrained. On Monday a tunnel closes. Customers order the same trips at the same hours as "
            "before, but each trip now takes 12 minutes longer. Until then the predictions were 4 minutes off on average, "
            "sometimes too high and sometimes too low.\n\n"
            "A monitor watches three things: the inputs, the predictions, and the mean absolute error of finished trips. Which "
            "of the three change on Monday?",
            "Only the error of the trips",
            ("The inputs and the error", "The predictions and the error", "None, as the inputs are equal"),
        ),
        Version(
            "A clinic predicts how many minutes a visit will take, from the patient's age and the reason for the visit. The "
            "model is never retrained. On 1 May a new form has to be filled in at each visit. Patients of the same ages come "
            "for the same reasons as before, but each visit now takes 9 minutes longer. Until then the predictions were 3 "
            "minutes off on average, sometimes too high and sometimes too low.\n\n"
            "A monitor watches three things: the inputs, the predictions, and the mean absolute error of finished visits. Which "
            "of the three change on 1 May?",
            "Only the error of the visits",
            ("The inputs and the error", "The predictions and the error", "None, as the inputs are equal"),
        ),
    ),
    Case(
        "02",
        "A column that only names its table is no drift",
        (("2.8", "alarmed_by_a_number"), ("2.2", "number_is_harmless"), ("2.8", "always_with_force")),
        Version(
            "Do this month's requests differ from last month's? You train a classifier to tell from which month a row is, and "
            "test it on rows that it has not seen. An AUC of 0.5 is as good as guessing, and 1.0 is perfect. With all columns, "
            "the AUC is 1.00. Without the column `ticket`, a number that grows by one with each request, it is 0.50. The model "
            "in production does not use `ticket`. What do you conclude?",
            "`ticket` names the month; the rest looks alike",
            (
                "The requests differ, as 1.00 is not by chance",
                "The test has a bug, as `ticket` is harmless",
                "The model is outdated, so it must be retrained",
            ),
        ),
        Version(
            "Do this week's payments differ from last week's? You train a classifier to tell from which week a row is, and test "
            "it on rows that it has not seen. An AUC of 0.5 is as good as guessing, and 1.0 is perfect. With all columns, the "
            "AUC is 0.99. Without the column `row_id`, which the database counts up with each payment, it is 0.51. The model in "
            "production does not use `row_id`. What do you conclude?",
            "`row_id` names the week; the rest looks alike",
            (
                "The payments differ, as 0.99 is not by chance",
                "The test has a bug, as `row_id` is harmless",
                "The model is outdated, so it must be retrained",
            ),
        ),
    ),
    Case(
        "03",
        "Many tests of quiet columns make many false alarms",
        (("3.3", "each_alone"), ("3.1", "the_other_tail"), ("0.2", "added_up")),
        Version(
            "Each week, a monitor tests 16 independent input columns. It raises an alarm if the p-value of at least one column "
            "is below 0.05. For some years nothing changes. In what share of the weeks does it raise an alarm?",
            "About 56%",
            ("About 5%", "About 44%", "About 80%"),
        ),
        Version(
            "Each day, a monitor tests 30 independent quality metrics. It raises an alarm if the p-value of at least one metric "
            "is below 0.03. For some years nothing changes. In what share of the days does it raise an alarm?",
            "About 60%",
            ("About 3%", "About 40%", "About 90%"),
        ),
    ),
    Case(
        "04",
        "A back-test trains on labels that were known at its start",
        (("4.3", "by_request_time"), ("4.3", "learned_during_the_test"), ("4.3", "the_rest")),
        Version(
            "When an invoice is sent, a model predicts whether it will be paid late. The answer, its label, is known 60 days "
            "later. You want to find out how well a model that was trained on 1 March would have predicted the invoices of "
            "March. Today all labels are in the log. On which invoices may you train that model?",
            "Those with a label known by 1 March",
            (
                "Those that were sent before 1 March",
                "Those with a label known by 31 March",
                "All those that were not sent in March",
            ),
        ),
        Version(
            "When a claim is filed, a model predicts whether it is a fraud. The answer, its label, is known 45 days later. You "
            "want to find out how well a model that was trained on 1 September would have predicted the claims of September. "
            "Today all labels are in the log. On which claims may you train that model?",
            "Those with a label known by 1 September",
            (
                "Those that were filed before 1 September",
                "Those with a label known by 30 September",
                "All those that were not filed in September",
            ),
        ),
    ),
    Case(
        "05",
        "A service needs spare capacity in its busiest hour",
        (("5.3", "mean_of_the_day"), ("5.3", "rate_times_service"), ("5.8", "twice_as_many")),
        Version(
            "Requests arrive at random: 18 a second on average over the day, and 40 a second in the busiest hour. They wait in "
            "one queue. A server handles one request at a time. This takes 100 ms on average, with a standard deviation of 100 "
            "ms. In the busiest hour, a request should wait less than a second on average before a server takes it. Which of "
            "these numbers of servers is the smallest that is enough?",
            "5 servers",
            ("2 servers", "4 servers", "8 servers"),
        ),
        Version(
            "Photos arrive at random: 50 a second on average over the day, and 100 a second in the busiest hour. They wait in "
            "one queue. A worker process handles one photo at a time. This takes 50 ms on average, with a standard deviation of "
            "50 ms. In the busiest hour, a photo should wait less than a second on average before a worker takes it. Which of "
            "these numbers of workers is the smallest that is enough?",
            "6 workers",
            ("3 workers", "5 workers", "10 workers"),
        ),
    ),
    Case(
        "06",
        "No data is not a pass",
        (("6.5", "empty_passes"), ("6.5", "overall_mean"), ("6.5", "by_a_fixed_limit")),
        Version(
            "A new version of a service gets a tenth of the traffic. It may get more once it is shown to be no worse than the "
            "old version in each region. A network fault in the East hits both versions alike. Requests that failed so far:\n\n"
            "| region | old version | new version |\n| --- | --- | --- |\n| East | 30.0% of 9,000 | 29.8% of 1,000 |\n"
            "| West | 2.0% of 9,000 | 2.0% of 1,000 |\n| Islands | 2.0% of 300 | no request yet |\n\n"
            "What should an automatic judge do now?",
            "Wait, as the islands gave no evidence yet",
            (
                "Go on, as the islands show no failure yet",
                "Go on, as in total both fail equally often",
                "Go back, as 30% is far too many failures",
            ),
        ),
        Version(
            "A new version of an app's server gets a fifth of the traffic. It may get more once it is shown to be no worse than "
            "the old version on each device. A fault of the phone network hits both versions alike. Requests that failed so "
            "far:\n\n"
            "| device | old version | new version |\n| --- | --- | --- |\n| phones | 25.0% of 8,000 | 24.9% of 2,000 |\n"
            "| laptops | 1.5% of 8,000 | 1.5% of 2,000 |\n| kiosks | 1.5% of 200 | no request yet |\n\n"
            "What should an automatic judge do now?",
            "Wait, as the kiosks gave no evidence yet",
            (
                "Go on, as the kiosks show no failure yet",
                "Go on, as in total both fail equally often",
                "Go back, as 25% is far too many failures",
            ),
        ),
    ),
    Case(
        "07",
        "No error in a few cases does not prove a low error rate",
        (("7.7", "point_estimate"), ("7.7", "the_model_says_so"), ("7.7", "nothing_at_all")),
        Version(
            "A model may decide alone if you can be 95% sure that it is wrong in fewer than 5% of the cases. People have "
            "checked its answers in a random sample of 30 cases, and found no mistake. On average, the model gives its answers "
            "a confidence of 99%. May it decide alone?",
            "Not yet, as 30 cases are too few for this",
            (
                "Yes, as 0% of its answers were wrong",
                "Yes, as it expects to be wrong in 1%",
                "Never, as no sample can show such a thing",
            ),
        ),
        Version(
            "A model may sort returns alone if you can be 95% sure that it is wrong in fewer than 10% of them. People have "
            "checked its answers for a random sample of 20 returns, and found no mistake. On average, the model gives its "
            "answers a confidence of 97%. May it sort alone?",
            "Not yet, as 20 returns are too few for it",
            (
                "Yes, as 0% of its answers were wrong",
                "Yes, as it expects to be wrong in 3%",
                "Never, as no sample can show such a thing",
            ),
        ),
    ),
    Case(
        "08",
        "Percentiles of parts do not give the percentile of the whole",
        (("8.6", "mean_of_p99"), ("8.6", "weighted_mean"), ("8.6", "worst_server")),
        Version(
            "The p99 is the time that 99% of the answers do not exceed. Three servers report their p99: 100 ms, 120 ms and 800 "
            "ms. They gave 5,000, 4,000 and 1,000 answers. What is the p99 of all 10,000 answers together?",
            "These figures do not tell",
            ("340 ms, the mean of the three", "178 ms, the weighted mean", "800 ms, the largest one"),
        ),
        Version(
            "The p99 is the time that 99% of the answers do not exceed. A service reports its p99 for three hours: 150 ms, 200 "
            "ms and 1,000 ms. It gave 7,000, 2,000 and 1,000 answers. What is the p99 of all 10,000 answers together?",
            "These figures do not tell",
            ("450 ms, the mean of the three", "245 ms, the weighted mean", "1,000 ms, the largest one"),
        ),
    ),
    Case(
        "09",
        "Count all tries of a new version, as rates",
        (("9.7", "only_what_was_served"), ("9.7", "counts_in_place_of_rates"), ("9.7", "waits_for_labels")),
        Version(
            "A router sends a tenth of the requests to version v2, the others to v1. If a try fails, the other version answers, "
            "so no user has seen a failure. In the same hour, 180 of 18,000 tries of v1 failed, and 100 of 2,000 tries of v2. "
            "Tonight v2 is to replace v1, which is then switched off, but only if v2 fails no more often. Which version predicts "
            "better is known tomorrow. Is v2 fit to replace v1?",
            "No: it has five times the failure rate",
            (
                "Yes: no user has seen a failure of it",
                "Yes: v1 has had more failures than v2",
                "Unclear: only the labels can show that",
            ),
        ),
        Version(
            "A router sends a tenth of the searches to version v8, the others to v7. If a try fails, the other version answers, "
            "so no user has seen a failure. In the same hour, 135 of 27,000 tries of v7 failed, and 90 of 3,000 tries of v8. "
            "Tonight v8 is to replace v7, which is then switched off, but only if v8 fails no more often. Which version ranks "
            "better is known next week. Is v8 fit to replace v7?",
            "No: it has six times the failure rate",
            (
                "Yes: no user has seen a failure of it",
                "Yes: v7 has had more failures than v8",
                "Unclear: only the labels can show that",
            ),
        ),
    ),
    Case(
        "10",
        "A feature must have been known when the request came",
        (("10.1", "the_year_is_history"), ("10.1", "reports_without_delay"), ("10.1", "its_own_delay")),
        Version(
            "At 8:00 on 10 March, a service predicts how late a flight will land that is scheduled to leave at 8:00. It hears "
            "of each departure 20 minutes after it happened. You train on a table that was completed after the end of the year. "
            "Which of its columns could the service have known at 8:00?",
            "The airport's mean delay in February",
            (
                "The airport's mean delay over the year",
                "The mean delay from 7:45 to 8:00",
                "The delay of this flight's departure",
            ),
        ),
        Version(
            "At 18:00 on 5 May, a service predicts how long the delivery of an order will take that came in at 18:00. It hears "
            "of each delivery 30 minutes after it happened. You train on a table that was completed after the end of the year. "
            "Which of its columns could the service have known at 18:00?",
            "The shop's mean time during April",
            (
                "The shop's mean time over the year",
                "The mean time from 17:40 to 18:00",
                "The packing time of this very order",
            ),
        ),
    ),
)
