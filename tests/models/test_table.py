"""A foreign table as a training set: labels, keys, codes frozen on training rows, and what the
audit refuses.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError, ContractError, LeakageError
from models.leakage import identifiers, proxies
from models.splits import temporal_folds
from models.table import TableOptions, held_out, labelled, table_rows
from models.table_codes import ColumnCode, encode, freeze, signals_of

LABEL = TableOptions("left")


def some_table(rows: int = 600, seed: int = 1) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    usage = generator.gamma(2.0, 10.0, rows)
    plan = generator.choice(["Basic", "Pro", "Team"], rows, p=[0.5, 0.3, 0.2])
    left = generator.random(rows) < 1 / (1 + np.exp(0.15 * usage - 1.5 - (plan == "Basic")))
    return pd.DataFrame(
        {
            "Logins 28d": usage,
            "plan": plan,
            "region": generator.choice([f"R{n:02}" for n in range(15)], rows),
            "auto renew": generator.random(rows) < 0.7,
            "seats": generator.integers(1, 40, rows),
            "left": left.astype(int),
        }
    )


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "positive", "events"),
    [
        ([0, 1, 1, 0], None, [0, 1, 1, 0]),
        ([0.0, 1.0, 1.0, 0.0], None, [0, 1, 1, 0]),
        ([False, True, True, False], None, [0, 1, 1, 0]),
        ([False, True, True, False], "False", [1, 0, 0, 1]),
        ([2, 1, 1, 2], "2", [1, 0, 0, 1]),
        (["No", "Yes ", "Yes", " No"], "Yes", [0, 1, 1, 0]),
        (["no", "yes", "yes", "no"], None, [0, 1, 1, 0]),
        (["FALSE", "TRUE", "TRUE", "FALSE"], None, [0, 1, 1, 0]),
        (["N", "Y", "Y", "N"], "N", [1, 0, 0, 1]),
    ],
)
def test_label_is_one_where_the_event_is(
    values: list[object], positive: str | None, events: list[int]
) -> None:
    table = pd.DataFrame({"number": [1.0, 2.0, 3.0, 4.0], "left": values})
    found = labelled(table, TableOptions("left", positive))
    assert found.labels[np.argsort(found.keys["row"])].tolist() == events


def test_the_value_taken_as_the_event_is_said() -> None:
    table = pd.DataFrame({"number": [1.0, 2.0, 3.0, 4.0], "left": ["No", "Yes", "Yes", "No"]})
    assert (
        labelled(table, TableOptions("left")).notes[0]
        == "'Yes' of left is taken as the event; for the other say --positive."
    )
    assert labelled(table, TableOptions("left", "Yes")).notes == ()


@pytest.mark.parametrize(
    ("values", "positive", "message"),
    [
        (
            ["Gone", "Here"],
            None,
            "holds 'Gone' .1., 'Here' .1.: say which is the event with --positive",
        ),
        (["No", "Yes"], "yes!", "--positive 'yes!' is no value.*'No'"),
        (
            ["a", "b", "c"],
            None,
            (
                "holds 3 values: 'a' .1., 'b' .1., 'c' .1.. It must hold two.*--positive VALUE,"
                " then all others"
            ),
        ),
        ([*"abcdefghi"], "a", "holds 9 values.*It must hold two, the event and its absence; make"),
        ([1, 1], None, "holds 1 values"),
        ([None, None], None, "holds 0 values: none"),
    ],
)
def test_labels_that_cannot_work_are_named_with_their_values(
    values: list[object], positive: str | None, message: str
) -> None:
    table = pd.DataFrame({"number": range(len(values)), "left": values})
    with pytest.raises(ConfigError, match=message):
        labelled(table, TableOptions("left", positive))


def test_of_several_values_all_but_the_named_event_are_its_absence() -> None:
    table = pd.DataFrame(
        {"number": [1.0, 2.0, 3.0, 4.0], "status": ["Joined", "Stayed", "Churned", "Stayed"]}
    )
    found = labelled(table, TableOptions("status", "Churned"))
    assert found.labels[np.argsort(found.keys["row"])].tolist() == [0, 0, 1, 0]
    assert found.notes[0].startswith(
        "all values of status but 'Churned' count as its absence: 'Stayed' (2), "
    )


@pytest.mark.parametrize(
    ("name", "numbers", "is_left_out"),
    [
        ("rank of row", np.arange(60), True),
        ("Unnamed: 0", 7 * np.arange(60), True),
        ("rownames", 7 * np.arange(60), True),
        ("", np.arange(60), True),
        ("X", np.arange(1.0, 61.0), True),
        ("income", 7 * np.arange(60), False),
        ("weeks", np.arange(60) % 30, False),
    ],
)
def test_columns_that_number_the_rows_are_left_out_and_told(
    name: str, numbers: np.ndarray, is_left_out: bool
) -> None:
    table = some_table(60).assign(**{name: np.random.default_rng(3).permutation(numbers)})
    found = labelled(table, LABEL)
    assert (name not in found.columns.columns) == is_left_out
    assert any(f"numbers of rows: {name!r}" in note for note in found.notes) == is_left_out
    assert (
        name
        in labelled(
            table, TableOptions("left", waivers={name: "a rank of revenue"})
        ).columns.columns
    )


def test_a_key_that_counts_is_asked_about_and_not_left_out() -> None:
    with pytest.raises(LeakageError, match="customer_id"):
        table_rows(some_table().assign(customer_id=np.arange(600)), LABEL)


def test_equal_rows_stay_together_although_they_are_numbered() -> None:
    table = some_table(60)
    keys = labelled(pd.concat([table, table]).assign(rownames=np.arange(120)), LABEL).keys
    assert keys["account_id"].nunique() == 60


def test_rows_without_label_are_left_out_and_counted() -> None:
    table = some_table().astype({"left": "float64"})
    table.loc[:9, "left"] = np.nan
    found = labelled(table, LABEL)
    assert len(found.labels) == len(table) - 10
    assert "10 rows without label (left) were left out." in found.notes
    assert found.keys["row"].min() == 10


def test_columns_are_found_regardless_of_case_and_missing_ones_get_a_hint() -> None:
    assert len(labelled(some_table(), TableOptions("LEFT")).labels) == 600
    with pytest.raises(ConfigError, match="no column 'lef'; near are left"):
        labelled(some_table(), TableOptions("lef"))


# --- keys and the test ----------------------------------------------------------------------------


def test_rows_of_an_account_and_equal_rows_stay_together() -> None:
    base = some_table(300)
    twice = pd.concat([base, base.iloc[:100]], ignore_index=True)
    rows = table_rows(twice, LABEL)
    assert any(
        "100 rows repeat the values of others (100 of them the label, too)" in note
        for note in rows.notes
    )
    keys = rows.training_set.keys
    assert keys.groupby("account_id")["is_test"].nunique().max() == 1
    folds = temporal_folds(keys, 4, rows.training_set.labels)
    assert not folds.is_temporal
    for block in folds.tuning:
        assert not set(keys["account_id"].iloc[block.train]) & set(
            keys["account_id"].iloc[block.validation]
        )
    named = base.assign(account=np.arange(300) // 3)
    keys = table_rows(named, TableOptions("left", account="account")).training_set.keys
    assert keys["account_id"].nunique() == 100
    assert keys.groupby("account_id")["is_test"].nunique().max() == 1


def test_order_of_rows_and_columns_changes_nothing() -> None:
    table = pd.concat([some_table(300), some_table(50)], ignore_index=True)
    other = table.sample(frac=1.0, random_state=3)[
        ["left", *[c for c in table.columns if c != "left"]][::-1]
    ]
    one, two = table_rows(table, LABEL).training_set, table_rows(other, LABEL).training_set
    assert one.fingerprint() == two.fingerprint()
    assert 0.1 < one.keys["is_test"].mean() < 0.3


def test_text_accounts_keep_leading_zeros_and_whole_doubles_lose_their_point() -> None:
    table = some_table(4).assign(account=[7.0, 12346.0, 1.0, 2.0], left=[0, 1, 0, 1])
    assert set(labelled(table, TableOptions("left", account="account")).keys["account_id"]) == {
        "7",
        "12346",
        "1",
        "2",
    }
    table = table.assign(account=["007", " 7 ", "a", "b"])
    assert set(labelled(table, TableOptions("left", account="account")).keys["account_id"]) == {
        "007",
        "7",
        "a",
        "b",
    }


def dated(rows: int = 800) -> pd.DataFrame:
    table = some_table(rows)
    days = pd.date_range("2024-01-01", periods=16, freq="28D")
    return table.assign(
        account=[f"a{n // 16}" for n in range(rows)],
        day=np.tile(days, rows // 16),
        signed=pd.Timestamp("2023-06-01"),
    )


def test_with_dates_the_last_ones_are_the_test_and_times_become_days() -> None:
    table = dated()
    options = TableOptions("left", account="account", as_of="day", horizon_days=60)
    rows = table_rows(table, options)
    keys = rows.training_set.keys
    assert rows.has_dates
    assert sorted(keys.loc[keys["is_test"], "as_of"].unique()) == sorted(table["day"].unique()[-4:])
    assert ((keys["label_until"] - keys["as_of"]).dt.days == 60).all()
    first = rows.training_set.features["signed"][keys["as_of"] == "2024-01-01"]
    assert (first == 214.0).all()
    folds = temporal_folds(keys, 3, rows.training_set.labels)
    assert folds.is_temporal
    assert (keys["label_until"].iloc[folds.final] <= keys.loc[keys["is_test"], "as_of"].min()).all()


def test_dates_written_as_text_are_read_and_others_refused() -> None:
    table = dated()
    text = table.assign(day=table["day"].dt.strftime("%Y-%m-%d"))
    options = TableOptions("left", account="account", as_of="day", horizon_days=60)
    assert (
        table_rows(text, options).training_set.fingerprint()
        == table_rows(table, options).training_set.fingerprint()
    )
    with pytest.raises(ConfigError, match="holds '01/02/24', which is no date"):
        labelled(table.assign(day="01/02/24"), options)
    numbers = table.assign(day=table["day"].dt.strftime("%Y%m%d").astype("int64"))
    assert (
        table_rows(numbers, options).training_set.fingerprint()
        == table_rows(table, options).training_set.fingerprint()
    )
    with pytest.raises(ConfigError, match="holds numbers such as 45292, not dates like 20250131"):
        labelled(table.assign(day=45292), options)


def test_dates_without_as_of_are_refused_by_name() -> None:
    with pytest.raises(
        ConfigError, match="day, signed hold dates.*--date COLUMN.*--drop day --drop signed"
    ):
        labelled(dated(), TableOptions("left", account="account"))
    with pytest.raises(ConfigError, match="--date day needs --horizon-days"):
        TableOptions("left", as_of="day")
    with pytest.raises(ConfigError, match="--horizon-days counts from a date"):
        TableOptions("left", horizon_days=30)
    with pytest.raises(ContractError, match="all rows are of one date"):
        one = dated().assign(day=pd.Timestamp("2024-01-01"), account=range(800))
        table_rows(one, TableOptions("left", account="account", as_of="day", horizon_days=60))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_test_share_must_be_a_share(share: float) -> None:
    with pytest.raises(ConfigError, match="must lie between 0 and 1"):
        TableOptions("left", test_share=share)


def test_hold_out_does_not_move_when_other_accounts_come() -> None:
    table = some_table(400).assign(account=[f"a{n}" for n in range(400)])
    options = TableOptions("left", account="account")
    few, many = labelled(table.iloc[:200], options), labelled(table, options)
    small = set(few.keys["account_id"][held_out(few, 0.2)])
    assert small == set(many.keys["account_id"][held_out(many, 0.2)]) & set(few.keys["account_id"])


def test_too_few_outcomes_are_said() -> None:
    table = some_table(100).assign(left=[1, 1, 1, *[0] * 97])
    with pytest.raises(ContractError, match="at least 2 with and 2 without"):
        table_rows(table, LABEL)


# --- codes ----------------------------------------------------------------------------------------


def test_codes_by_hand() -> None:
    columns = pd.DataFrame(
        {
            "Net Value": [1.0, None, 3.0, 4.0],
            "paid": pd.array([True, False, None, True], dtype="boolean"),
            "sex": ["F", "M", None, "F"],
            "plan": ["a", "b", "c", "a"],
        }
    )
    codes = freeze(columns)
    assert [code.signals for code in codes] == [
        ("net_value",),
        ("paid",),
        ("sex_is_m",),
        ("plan_is_a", "plan_is_b", "plan_is_c"),
    ]
    table = encode(columns, codes)
    assert (table.dtypes == np.float64).all()
    np.testing.assert_array_equal(table["paid"], [1, 0, np.nan, 1])
    np.testing.assert_array_equal(table["sex_is_m"], [0, 1, np.nan, 0])
    np.testing.assert_array_equal(table["plan_is_a"], [1, 0, 0, 1])
    assert [ColumnCode.from_dict(code.to_dict()) for code in codes] == list(codes)
    cards = signals_of(codes)
    assert {card.dimension for card in cards} == {"usage"}
    assert cards[0].meaning == "Net Value" and cards[0].phrase == "Net Value: {value}"
    assert [card.driver for card in cards[3:]] == ["plan"] * 3


def test_unseen_categories_are_null_and_counted() -> None:
    codes = freeze(
        pd.DataFrame({"plan": ["a", "b", "c"] * 5, "city": [f"c{n:02}" for n in range(15)]})
    )
    strange = encode(pd.DataFrame({"plan": ["z", "a"], "city": ["nowhere", "c00"]}), codes)
    assert strange.iloc[0].isna().all()
    assert strange.iloc[1].tolist() == [1.0, 0.0, 0.0, 1.0]
    table = some_table(400).assign(account=[f"a{n}" for n in range(400)])
    options = TableOptions("left", account="account")
    found = labelled(table, options)
    tested = found.keys["row"][held_out(found, 0.2)]
    table.loc[tested.iloc[:3], "plan"] = "New"
    rows = table_rows(table, options)
    assert "3 test rows hold values of plan that training never saw; read as null." in rows.notes
    assert not any(signal.column == "plan_is_new" for signal in rows.training_set.signals)


def test_many_categories_become_ranks_with_ties_by_name() -> None:
    values = ["x"] * 3 + [f"v{n}" for n in range(10)]
    [code] = freeze(pd.DataFrame({"city": values}))
    assert code.signals == ("city_rank",)
    assert code.values[:3] == ("x", "v0", "v1")
    assert encode(pd.DataFrame({"city": ["x", "v0"]}), [code])["city_rank"].tolist() == [1.0, 2.0]


def test_names_that_read_alike_stay_apart() -> None:
    columns = pd.DataFrame(
        {"plan": ["a", "b", "c"], "plan is a": [1.0, 2.0, 3.0], "Plan": [3.0, 2.0, 1.0]}
    )
    names = [name for code in freeze(columns) for name in code.signals]
    assert len(set(names)) == 5


def test_columns_that_never_vary_are_left_out_and_infinities_are_null() -> None:
    table = some_table().assign(
        Quarter="Q3", Count=1, ratio=np.where(np.arange(600) % 5, 1.5, np.inf)
    )
    rows = table_rows(table, LABEL)
    assert "left out, the same in every training row: Quarter, Count." in rows.notes
    assert "120 infinite values of ratio are read as null." in rows.notes
    assert "quarter" not in rows.training_set.features


# --- the audit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "is_key"),
    [
        ("CLIENTNUM", True),
        ("customerID", True),
        ("Customer ID", True),
        ("account_no", True),
        ("userid", True),
        ("amount_paid", False),
        ("seats", False),
    ],
)
def test_whole_numbers_that_never_repeat_are_keys_where_named_so(name: str, is_key: bool) -> None:
    assert bool(identifiers(pd.DataFrame({name: np.arange(1000) * 7 + 3}))) == is_key


def test_key_of_somebody_is_found_although_accounts_come_back() -> None:
    table = pd.DataFrame(
        {"customer_id": np.repeat(np.arange(200), 5), "region_id": np.tile(np.arange(10), 100)}
    )
    assert [finding.column for finding in identifiers(table)] == ["customer_id"]


def test_reasons_kept_for_some_leavers_only_are_refused() -> None:
    generator = np.random.default_rng(0)
    table = some_table(2000)
    reason = np.where((table["left"] == 1) & (generator.random(2000) < 0.3), "price", None)
    accounts = pd.Series([f"a{n}" for n in range(2000)])
    [finding] = proxies(
        pd.DataFrame({"reason": reason}), table["left"].to_numpy(dtype=np.int8), accounts
    )
    assert finding.kind == "filled" and finding.figure == 1.0
    with pytest.raises(
        LeakageError, match="reason is filled in where the event happened and hardly elsewhere"
    ):
        table_rows(table.assign(reason=reason), LABEL)


def test_many_categories_that_separate_the_label_are_refused_and_noise_is_not() -> None:
    generator = np.random.default_rng(0)
    left = (generator.random(3000) < 0.3).astype(np.int8)
    state = np.where(left == 1, "out", "in").astype(object) + generator.integers(
        0, 20, 3000
    ).astype(str)
    noise = generator.integers(0, 300, 3000).astype(str)
    accounts = pd.Series([f"a{n}" for n in range(3000)])
    found = proxies(pd.DataFrame({"state": state, "noise": noise}), left, accounts)
    assert [finding.column for finding in found] == ["state"]


def test_identifiers_and_proxies_come_in_one_answer_and_can_be_waived() -> None:
    table = some_table().assign(customer=[f"c{n}" for n in range(600)])
    table["twin"] = table["left"] * 2.0
    with pytest.raises(
        LeakageError, match="customer is an identifier.*twin alone ranks.*AUC of 1.000.*Say more"
    ):
        table_rows(table, LABEL, advice=lambda findings: f"Say more of {len(findings)}.")
    options = TableOptions("left", account="customer", waivers={"TWIN": "measured before"})
    rows = table_rows(table, options)
    assert rows.signal_waivers() == {"twin": "measured before"}
    with pytest.raises(LeakageError):
        table_rows(table, TableOptions("left", drop=("customer",)))
    table_rows(table, TableOptions("left", drop=("customer", "twin")))


def test_few_leavers_make_the_audit_say_that_it_could_not_ask() -> None:
    rows = table_rows(some_table(300).assign(left=[1] * 25 + [0] * 275), LABEL)
    assert any("could not be asked" in note for note in rows.notes)


# --- tables that exist ---------------------------------------------------------------


def refused(table: pd.DataFrame, options: TableOptions) -> set[str]:
    named: list[str] = []
    try:
        table_rows(
            table,
            options,
            advice=lambda findings: str(named.extend(each.column for each in findings)),
        )
    except LeakageError:
        pass
    return set(named)


def test_columns_of_the_status_table_are_refused(shared_data: Path) -> None:
    folder = shared_data / "telco"
    status = pd.read_parquet(folder / "ibm_v11_status.parquet").drop(columns=["Count", "Quarter"])
    table = pd.read_parquet(folder / "ibm_v11_services.parquet").merge(status, on="Customer ID")
    assert refused(table, TableOptions("Churn Value", account="Customer ID")) == {
        "Churn Score",
        "Churn Label",
        "Customer Status",
        "Churn Category",
        "Churn Reason",
        "Satisfaction Score",
    }
    assert "Churn Value" in refused(
        table, TableOptions("Churn Label", positive="Yes", account="Customer ID")
    )
    assert "Customer ID" in refused(table, TableOptions("Churn Value"))


def test_scores_of_another_model_are_refused_and_the_rest_is_not(shared_data: Path) -> None:
    table = pd.read_parquet(shared_data / "bank_churners" / "bank_churners.parquet")
    leaks = {name for name in table.columns if name.startswith("Naive_Bayes")}
    options = TableOptions("Attrition_Flag", positive="Attrited Customer", account="CLIENTNUM")
    assert refused(table, options) == leaks
    assert refused(table.drop(columns=sorted(leaks)), options) == set()
    assert refused(table, TableOptions("Attrition_Flag", positive="Attrited Customer")) == {
        *leaks,
        "CLIENTNUM",
    }


def test_honest_tables_are_not_refused(shared_data: Path) -> None:
    iranian = table_rows(
        pd.read_parquet(shared_data / "iranian_churn" / "iranian_churn.parquet"),
        TableOptions("Churn"),
    )
    assert any("(300 of them the label, too)" in note for note in iranian.notes)
    telco = pd.read_parquet(shared_data / "telco" / "telco_customer_churn.parquet")
    assert refused(telco, TableOptions("Churn", positive="Yes", account="customerID")) == set()
    # Here months_active is the duration that goes with the outcome; alone it ranks far below the
    # limit, so only a reader knows.
    saas = pd.read_parquet(shared_data / "pysurvival_saas_churn" / "churn.parquet")
    assert refused(saas, TableOptions("churned")) == set()


# --- a split and costs of the table's own ---------------------------------------------------------


def test_a_column_says_which_rows_are_the_test_and_is_no_signal() -> None:
    table = some_table().assign(part=["Train ", "test", "valid", "TRAIN"] * 150)
    rows = table_rows(table, TableOptions("left", split="part"))
    assert sorted(rows.row[rows.is_test]) == list(range(1, 600, 4))
    assert "part" not in {code.column for code in rows.codes}


@pytest.mark.parametrize("fold", [3, 3.0, "3"])
def test_one_fold_of_the_tables_own_is_the_test(fold: object) -> None:
    folds = [number % 5 if not isinstance(fold, str) else str(number % 5) for number in range(600)]
    rows = table_rows(some_table().assign(fold=folds), TableOptions("left", split="fold=3"))
    assert sorted(rows.row[rows.is_test]) == list(range(3, 600, 5))


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("fold", "'0', '1', '2', '3', '4' is neither training nor test.*--split fold=VALUE"),
        ("fold=7", "leaves no test; the column holds '0' .120."),
        ("flod", "no column 'flod'; near are fold"),
    ],
)
def test_a_split_that_says_nothing_is_refused(split: str, words: str) -> None:
    table = some_table().assign(fold=[number % 5 for number in range(600)])
    with pytest.raises(ConfigError, match=words):
        table_rows(table, TableOptions("left", split=split))


def test_accounts_on_both_sides_of_a_split_are_told() -> None:
    table = some_table().assign(
        part=["train", "test"] * 300, who=[f"c{number // 2:03d}" for number in range(600)]
    )
    rows = table_rows(table, TableOptions("left", split="part", account="who"))
    assert any("300 accounts stand on both sides" in note for note in rows.notes)


def test_costs_of_rows_are_no_signals_and_follow_them() -> None:
    table = some_table()
    table["lost"], table["call"] = np.arange(600.0), "5"
    options = TableOptions("left", cost_if_missed="lost", cost_of_contact="call")
    rows = table_rows(table, options)
    assert rows.source.costs is not None
    assert rows.source.costs["if_missed"].tolist() == rows.row.tolist()
    assert set(rows.source.costs["of_contact"]) == {5.0}
    assert not {"lost", "call"} & {code.column for code in rows.codes}


def test_costs_that_are_missing_or_stand_alone_are_refused() -> None:
    with pytest.raises(ConfigError, match="come in pairs"):
        TableOptions("left", cost_if_missed="lost")
    table = some_table().assign(lost=1.0, call=1.0)
    table.loc[3, "call"] = -1.0
    options = TableOptions("left", cost_if_missed="lost", cost_of_contact="call")
    with pytest.raises(ConfigError, match="1 rows have no cost in call .'-1.0', for one"):
        table_rows(table, options)
