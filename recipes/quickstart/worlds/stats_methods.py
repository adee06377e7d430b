"""Concepts of planning and choosing: designs, samples, graphs, averages, tests."""

from __future__ import annotations

from worlds.concepts import Concept

STUDY_DESIGN = Concept(
    topic="study_design",
    cues={
        "Experiment": (
            "Chance decides which {people} get {exposure} and which do not, and then {outcome} is compared.",
            "The researchers assign {people} at random to {exposure} or to a control group.",
            "A coin toss puts each of the {people} into the group with {exposure} or the control group.",
            "Half of the {people}, chosen at random, receive {exposure}, and the control group does not.",
        ),
        "Survey": (
            "A questionnaire asks {people} once about {exposure} and {outcome}.",
            "On one day, {people} answer questions about {exposure} and {outcome}.",
            "A sample of {people} answers a questionnaire about {outcome}.",
            "In a single interview, {people} answer questions about {exposure}.",
        ),
        "Cohort study": (
            "{People} with and without {exposure} are followed for ten years to see who gets {outcome}.",
            "The study follows {people} over many years and records new cases of {outcome}.",
            "For eight years the researchers follow {people}, some with {exposure} and some without.",
            "{People} without {outcome} are followed over several years until new cases occur.",
        ),
        "Case-control study": (
            "{People} who have {outcome} are compared with {people} who do not, looking back at {exposure}.",
            "Cases with {outcome} and controls without tell about {exposure} in the past.",
            "The researchers choose cases of {outcome}, add controls, and look back in time.",
            "Some {people} with {outcome} and some without are asked about {exposure} in the past.",
        ),
    },
    test_cues={
        "Experiment": (
            "A random draw gives {exposure} to some {people} and nothing to the control group.",
            "The {people} are assigned by chance: one group with {exposure}, one control group.",
        ),
        "Survey": (
            "In one phone interview, {people} answer a list of questions about {outcome}.",
            "A short questionnaire about {exposure} is sent to {people}, who answer it once.",
        ),
        "Cohort study": (
            "Over the next six years, {people} are followed, and every new case of {outcome} is recorded.",
            "Two groups of {people}, with and without {exposure}, are followed for twelve years.",
        ),
        "Case-control study": (
            "Cases are {people} with {outcome}, controls are {people} without; both look back at {exposure}.",
            "For each case of {outcome} there is a control, and both look back at past {exposure}.",
        ),
    },
    what=(
        "the study design",
        "the type of this study",
        "the term for this kind of study",
    ),
    test_frames=(
        "{cue} How do we name the design of this study?",
        "Which type of study do we see here? {cue}",
    ),
    define={
        "Experiment": (
            "In an experiment chance decides who gets the treatment.",
            "An experiment assigns the treatment at random and has a control group.",
        ),
        "Survey": (
            "A survey asks a sample of people questions at one time.",
            "In a survey people answer a questionnaire once.",
        ),
        "Cohort study": (
            "A cohort study follows groups over years and waits for new cases.",
            "In a cohort study people are followed over time from the exposure to the outcome.",
        ),
        "Case-control study": (
            "A case-control study compares cases with controls and looks back in time.",
            "In a case-control study people with and without the outcome are asked about the past.",
        ),
    },
    state="{cue} The study design is called {answer}.",
)

SAMPLING = Concept(
    topic="sampling",
    cues={
        "Simple random sample": (
            "A computer draws 40 numbers from the list of all {people} at random.",
            "The names of all {people} go into a box, and 50 names are drawn.",
            "All {people} have the same chance, and chance alone picks 30 of them.",
            "From the full list of {people}, 60 are drawn by pure chance.",
        ),
        "Stratified sample": (
            "The {people} are divided by {group}, and some are drawn at random from every {group}.",
            "From each {group} a few {people} are drawn at random.",
            "Every {group} is a stratum, and each stratum gives a random sample of {people}.",
            "A random sample of {people} is drawn separately in each {group}.",
        ),
        "Cluster sample": (
            "Five whole {groups} are drawn at random, and all {people} in them are asked.",
            "Chance picks some {groups}, and everyone inside these {groups} is asked.",
            "Only a few {groups} are drawn, but all {people} of a drawn {group} take part.",
            "Each {group} is a cluster; six clusters are drawn, and all {people} in them take part.",
        ),
        "Systematic sample": (
            "From a list of {people}, every tenth name is taken.",
            "After a random start, every eighth of the {people} on the list is chosen.",
            "The list of {people} is read in order, and every fifth name is taken.",
            "The {people} arrive one after another, and every sixth one is asked.",
        ),
        "Convenience sample": (
            "The researcher asks the {people} who are easiest to reach.",
            "Only {people} who happen to be nearby are asked.",
            "The researcher takes the {people} who come along first.",
            "Because it is easy, only {people} whom the researcher knows are asked.",
        ),
    },
    test_cues={
        "Simple random sample": (
            "Chance alone draws 35 names from a list of all {people}.",
            "A computer picks 45 of all {people}, each with the same chance.",
        ),
        "Stratified sample": (
            "In every {group}, some {people} are drawn at random, so that no {group} is left out.",
            "Each {group} counts as a stratum, and a few {people} are drawn at random from each.",
        ),
        "Cluster sample": (
            "Three whole {groups} are drawn, and all {people} there are asked.",
            "Chance picks four {groups}, and all {people} inside them take part.",
        ),
        "Systematic sample": (
            "Every ninth name on the list of {people} is taken.",
            "After a random start, every seventh name on a list of {people} is chosen.",
        ),
        "Convenience sample": (
            "Only the {people} who are easy to reach are asked.",
            "The researcher asks {people} who happen to come along.",
        ),
    },
    what=(
        "the sampling method",
        "the type of this sample",
        "the term for this sample",
    ),
    test_frames=("{cue} Which kind of sample do we get?", "What sort of sampling is described here? {cue}"),
    define={
        "Simple random sample": (
            "In a simple random sample all members have the same chance, and chance alone picks.",
            "A simple random sample is drawn by pure chance from the full list.",
        ),
        "Stratified sample": (
            "A stratified sample draws some members at random from every group.",
            "In a stratified sample each group is a stratum, and no stratum is left out.",
        ),
        "Cluster sample": (
            "A cluster sample draws whole groups and takes all members in them.",
            "In a cluster sample only some groups are drawn, and everyone inside takes part.",
        ),
        "Systematic sample": (
            "A systematic sample takes members from a list at a fixed step, such as every tenth.",
            "In a systematic sample we choose a start and then every next name at a fixed step.",
        ),
        "Convenience sample": (
            "A convenience sample takes the members who are easy to reach.",
            "In a convenience sample chance plays no part, so the result may be biased.",
        ),
    },
    state="{cue} We call this a {answer}.",
)

GRAPH = Concept(
    topic="graph",
    cues={
        "Bar chart": (
            "We want to show how many {people} there are for each {kind}.",
            "The counts of {people} by {kind} are to be shown.",
            "The graph has to compare the counts in the categories of the {kind}.",
        ),
        "Histogram": (
            "We want to show the distribution of the {x} of the {people}.",
            "One continuous variable, the {x} of {people}, is to be shown in intervals.",
            "The shape of the distribution of the {x} is to be seen.",
        ),
        "Scatter plot": (
            "We want to show the relation between {x} and {y} of the {people}.",
            "Each of the {people} is one point with the {x} and the {y}.",
            "Two numerical variables, {x} and {y}, are to be shown together.",
        ),
        "Line graph": (
            "We want to show how the mean {x} changes from month to month.",
            "The mean {y} of the {people} was recorded each year for twenty years.",
            "The trend of the {x} over time is to be shown.",
        ),
    },
    test_cues={
        "Bar chart": ("The counts of {people} in each category of {kind} are to be compared.",),
        "Histogram": ("The distribution of one continuous variable, the {x}, is to be seen in intervals.",),
        "Scatter plot": ("The relation of two numerical variables is to be seen: {x} and {y} of {people}.",),
        "Line graph": ("The change of the mean {x} over time, from year to year, is to be seen.",),
    },
    what=(
        "the best graph",
        "a graph that fits",
        "the right kind of graph",
    ),
    test_frames=("{cue} Which kind of graph do we need?", "Choose a graph for this task. {cue}"),
    define={
        "Bar chart": (
            "A bar chart shows the counts of categories.",
            "In a bar chart each category has a bar, and its height is the count.",
        ),
        "Histogram": (
            "A histogram shows the distribution of one continuous variable in intervals.",
            "In a histogram we see the shape of a distribution.",
        ),
        "Scatter plot": (
            "A scatter plot shows the relation between two numerical variables.",
            "In a scatter plot each case is one point with two values.",
        ),
        "Line graph": (
            "A line graph shows how a value changes over time.",
            "In a line graph we see a trend from year to year.",
        ),
    },
    state="{cue} The right graph is a {answer}.",
)

AVERAGE = Concept(
    topic="average",
    cues={
        "Mean": (
            "The values of {x} are symmetric and have no outliers.",
            "The {x} of the {people} has a symmetric distribution, and every value should count.",
            "The distribution of {y} is bell-shaped, without extreme values.",
        ),
        "Median": (
            "A few of the {people} have an extremely large {x}, so there are outliers.",
            "The distribution of {x} is strongly skewed.",
            "The values of {y} have some extreme outliers.",
        ),
        "Mode": (
            "The variable is the {kind} of the {people}, which has only categories.",
            "The data are names of categories: the {kind} of each of the {people}.",
            "For {people} we know only the category of {kind}, which is nominal.",
        ),
    },
    test_cues={
        "Mean": ("The {x} of {people} is symmetric, bell-shaped and without outliers.",),
        "Median": ("The {x} of {people} is skewed, with some extremely large outliers.",),
        "Mode": ("For {people} only categories are known, since {kind} is a nominal variable.",),
    },
    what=(
        "the best average",
        "the average that fits",
        "the right measure of the centre",
    ),
    test_frames=("{cue} Which measure of the centre is the best choice?", "Choose a fitting average. {cue}"),
    define={
        "Mean": (
            "The mean uses every value, so it fits symmetric data without outliers.",
            "For symmetric data the mean is a good centre.",
        ),
        "Median": (
            "The median is not moved by outliers, so it fits skewed data.",
            "For skewed data with outliers the median is a good centre.",
        ),
        "Mode": (
            "The mode is the most frequent value, so it fits categories.",
            "For nominal data only the mode makes sense.",
        ),
    },
    state="{cue} The best average is the {answer}.",
)

TEST_CHOICE = Concept(
    topic="test_choice",
    cues={
        "Two-sample t test": (
            "We compare the mean {x} of {people} in two independent groups.",
            "Two separate groups of {people} are compared by their mean {y}.",
            "Is the mean {x} the same in two independent groups of {people}?",
        ),
        "Paired t test": (
            "The {x} of the same {people} is measured before and after {exposure}.",
            "Each of the {people} is measured twice, before and after {exposure}.",
            "Did the mean {y} of the same {people} change from before to after?",
        ),
        "Chi-squared test": (
            "A table of counts shows the {kind} of {people} with and without {outcome}.",
            "Two categorical variables are given: {kind} and {exposure} (yes or no).",
            "Are the two categorical variables {kind} and {group} independent?",
        ),
        "Analysis of variance": (
            "We compare the mean {x} of {people} in four groups.",
            "Five {groups} are compared by the mean {y} of their {people}.",
            "Is the mean {x} the same in all of the six {groups}?",
        ),
        "Linear regression": (
            "We predict the {y} of {people} from their {x}.",
            "How much does the {y} rise when the {x} is one unit larger?",
            "A line is fitted to predict {y} from {x}.",
        ),
    },
    test_cues={
        "Two-sample t test": ("Two independent groups of {people} are given; we compare their mean {x}.",),
        "Paired t test": ("The same {people} are measured twice: {x} before and after {exposure}.",),
        "Chi-squared test": ("A table of counts is given for two categorical variables, {kind} and {group}.",),
        "Analysis of variance": ("The mean {x} of {people} is compared across seven {groups}.",),
        "Linear regression": ("From the {x} we predict the {y} of {people} with a fitted line.",),
    },
    what=(
        "the right method",
        "the test or model that fits",
        "the best statistical method",
    ),
    test_frames=("{cue} Which statistical procedure do we need?", "Choose the method of analysis. {cue}"),
    define={
        "Two-sample t test": ("A two-sample t test compares the means of two independent groups.",),
        "Paired t test": ("A paired t test compares two measurements of the same people.",),
        "Chi-squared test": ("A chi-squared test asks whether two categorical variables are independent.",),
        "Analysis of variance": ("An analysis of variance compares the means of three or more groups.",),
        "Linear regression": ("A linear regression predicts one numerical variable from another.",),
    },
    state="{cue} The fitting method is the {answer}.",
)

METHODS = (STUDY_DESIGN, SAMPLING, GRAPH, AVERAGE, TEST_CHOICE)
