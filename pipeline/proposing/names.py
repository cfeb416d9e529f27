"""Words by which tables and columns are recognised; matched on names in small letters and
underscores.
"""

import re

from features.sources import CONTRACTS

# Which column names an account, surest first. A person's id comes last: where an account has users,
# it is not the key.
ACCOUNT_KEYS = (
    "account_id",
    "account",
    "account_number",
    "account_no",
    "customer_id",
    "customer",
    "customer_number",
    "cust_id",
    "client_id",
    "clientnum",
    "client",
    "company_id",
    "organisation_id",
    "organization_id",
    "org_id",
    "tenant_id",
    "workspace_id",
    "team_id",
    "account_code",
    "associated_company_id",
    "associated_company_ids",
    "kundennummer",
    "kunden_nr",
    "kundennr",
    "kunde",
    "debitor",
    "debitorennummer",
    "code_client",
    "id_client",
    "num_client",
    "numero_client",
    "n_client",
    "no_client",
    "subscriber_id",
    "member_id",
    "membership_id",
    "student_id",
    "id_customer",
    "id_student",
    "id_account",
    "user_id",
    "user",
    "author_id",
    "person_id",
    "player_id",
)

TABLE_WORDS: dict[str, tuple[str, ...]] = {
    "outcomes": ("churn", "churns", "cancellation", "cancellations", "attrition", "unsubscribes"),
    "subscriptions": (
        "subscription",
        "subscriptions",
        "contract",
        "contracts",
        "membership",
        "memberships",
        "policies",
        "purchase",
        "purchases",
        "licences",
        "licenses",
        "vertraege",
        "vertrage",
        "abos",
        "abonnements",
        "contrats",
        "suscripciones",
        "contratos",
    ),
    "support_tickets": (
        "ticket",
        "tickets",
        "support",
        "case",
        "cases",
        "conversation",
        "conversations",
        "complaints",
        "question",
        "questions",
    ),
    "surveys": (
        "survey",
        "surveys",
        "nps",
        "csat",
        "rating",
        "ratings",
        "review",
        "reviews",
        "feedback",
    ),
    "contacts": ("contact", "contacts"),
    "touchpoints": ("touchpoints", "meetings", "emails", "calls", "activities"),
    "csm_notes": ("notes",),
    "invoices": (
        "invoice",
        "invoices",
        "billing",
        "payment",
        "payments",
        "orders",
        "transactions",
        "sales",
        "rechnungen",
        "factures",
        "facturas",
    ),
    "accounts": (
        "account",
        "accounts",
        "customer",
        "customers",
        "company",
        "companies",
        "client",
        "clients",
        "student",
        "students",
        "user",
        "users",
        "personal",
        "profile",
        "profiles",
        "info",
        "demographics",
    ),
}

# Contract -> column -> patterns, surest first. `_END` is the ending of a date: nothing, _date, _at,
# _on, ...
_END = r"(_date|_at|_on|_time|_timestamp|_utc)?"
JOINED = (
    rf"(join|joined|signup|sign_up|signed_up|registered|registration|onboarded){_END}",
    rf"(customer|member|subscriber|client)_since{_END}",
    rf"(membership|customer|service)_(starts?|begins?|started){_END}",
    r"eintritt(sdatum)?|(kunde|mitglied|aktiv)_seit|beitritt(sdatum)?",
)
"""When an account came, and when it went: a term where a table says both of an account."""
LEFT = (
    rf"(left|leave|leaving|churn|churned|quit|exit|closed|lost|unsubscribed|withdrawal|withdrawn){_END}",
    rf"(membership|customer|service)_(ends?|ended|until){_END}",
    rf"(member|customer|subscriber|active)_(until|to){_END}",
    r"austritt(sdatum)?|k(ue|u|_)?ndigungsdatum|gek(ue|u|_)?ndigt_(am|zum)",
)
COLUMN_PATTERNS: dict[str, dict[str, tuple[str, ...]]] = {
    "accounts": {
        "created_at": (
            rf"(created|signup|sign_up|signed_up|registered|registration|joined|opened|onboarded)(_init)?{_END}",
            r"date_(registered|created|joined|opened|signup)",
            r"(customer|member)_since",
            "create_?date",
        ),
        "name": (r"(account|customer|company|client|organisation|organization)_name", "name"),
        "owner": ("owner", "csm", "csm_name", "account_owner", "account_manager", "owner_id"),
        "value_per_year": (
            "arr",
            "arr_amount",
            "acv",
            "annual_value",
            "annual_revenue",
            "value_per_year",
            "contract_value",
        ),
        "segment": ("segment", "customer_segment", "tier", "size", "company_size", "customer_type"),
        "plan": ("plan", "plan_tier", "plan_name", "product_tier", "subscription_plan", "tariff"),
        "industry": ("industry", "sector", "vertical"),
        "country": ("country", "country_code", r"\w+_country", "region"),
        "parent_account_id": ("parent_account_id", "parent_id"),
        "merged_into": (
            r"(merged_(in)?to|master_record|surviving|survivor|merge_target)(_(account|customer|company|record))?"
            r"(_id)?",
            r"master_(account|customer|record)(_id)?",
        ),
        "merged_at": (rf"(merged|merge){_END}",),
        "seats": ("seats", "seat_count", "licenses", "licences", "number_of_seats"),
    },
    "subscriptions": {
        "subscription_id": ("subscription_id", "contract_id", "purchase_id", "id"),
        "starts_at": (
            rf"(starts?|begin|begins|started|valid_from|term_start|contract_start|subscription_start){_END}",
            r"(begin|start)date",
            rf"(activated|current_term_start){_END}",
            r"vertrags_?beginn|beginn|laufzeit_?beginn|g(ue|u|_)?ltig_(ab|von)|von|startdatum",
            # French exports; accents become underscores: Date de début, Début du contrat.
            r"(date_)?(de_)?d(e|_)?but(_(du_)?(contrat|abonnement))?|date_d_effet",
            r"date_(purchased|started|bought)",
            rf"(purchased?){_END}",
            rf"created{_END}",
            rf"(transaction|payment){_END}",
            *JOINED,
        ),
        # When cover ended, before when that was asked for.
        "ends_at": (
            rf"(ended|ends?|expires?|expired|expiry|expiration|valid_to|valid_until|term_end|contract_end"
            rf"|terminated|deactivated|subscription_end){_END}",
            "enddate",
            rf"(membership|subscription|plan|contract|policy|access)_(expires?|expiry|expiration|ends?){_END}",
            # The end that a cancellation asks for, before the day it was asked.
            r"cancels?_(at|on|effective(_date|_at|_on)?)",
            rf"(cancelled|canceled){_END}",
            # German exports: Vertragsende, gueltig bis, Laufzeitende, Kuendigung zum.
            r"(vertrags|laufzeit|abo)_?ende|ende|enddatum|g(ue|u|_)?ltig_bis|k(ue|u|_)?ndigung_zum|bis",
            r"(date_)?(de_)?(fin|r(e|_)?siliation)(_(du_)?(contrat|abonnement))?",
            *LEFT,
        ),
        "notice_at": (
            rf"(notice|notice_given|cancel_requested|cancellation_requested){_END}",
            rf"(cancelled|canceled|cancellation){_END}",
            "cancel_schedule_created_at",
            "unsubscribe_detected_at",
            r"k(ue|u|_)?ndigung(s_?datum|s_?eingang|_?(eingegangen|erhalten|vom|am))(_am)?",
            r"gek(ue|u|_)?ndigt_am",
        ),
        "amount_per_month": (
            "amount_per_month",
            "mrr",
            "mrr_amount",
            "monthly_amount",
            "monthly_charges",
            "monthly_fee",
            "monthly_price",
            "monthly_charge",
            r"monats_?(beitrag|betrag|preis|geb(ue|u|_)?hr)|montant_mensuel|mensualit(e|_)?s?",
        ),
        "plan": ("plan", "plan_tier", "plan_name", "tier", "purchase_type", "type", "product"),
        "billing_period": (
            "billing_period",
            "billing_frequency",
            "billing_cycle",
            "interval",
            "frequency",
        ),
        "seats": ("seats", "seat_count", "quantity"),
        "auto_renew": ("auto_renew", "auto_renew_flag", "auto_renewal", "is_auto_renew"),
        "is_trial": ("is_trial", "trial", "trial_flag", r"(is_)?(in_)?trial_period", "is_in_trial"),
        "discount_share": ("discount_share", "discount_rate"),
        "end_reason": ("end_reason", "cancel_reason", "cancellation_reason", "churn_reason"),
    },
    "usage_events": {
        "event_time": (
            rf"(event|occurred|used|usage|logged|visited|watched|engaged|performed|committed){_END}",
            r"date_\w+",
            "timestamp",
            "ts",
            "date",
            "day",
            rf"\w*(invoice|order|transaction|purchased?)_?{_END}",
            rf"created{_END}",
            r"\w+_(at|date|time|on)",
        ),
        "user_id": ("user_id", "member_id", "person_id", "distinct_id", "anonymous_id"),
        "event_name": (
            "event_name",
            "event",
            "event_type",
            "feature_name",
            "feature",
            "action",
            "activity",
            "activity_type",
            "page",
            "page_name",
        ),
        "quantity": (
            "quantity",
            "count",
            "usage_count",
            "event_count",
            r"minutes(_\w+)?",
            "duration",
            "n_events",
        ),
        "session_id": (
            "session_id",
            "visit_id",
            "basket_id",
            "basket",
            "cart_id",
            "receipt_id",
            "receipt_no",
            "bon_?(id|nr|nummer)",
        ),
    },
    "invoices": {
        "invoice_id": (
            "invoice_id",
            "invoice",
            "invoice_no",
            "invoice_number",
            r"rechnungs_?(nr|nummer|no)|(num(e|_)?ro|n|no)_(de_)?facture",
            "order_id",
            "payment_id",
            "transaction_id",
        ),
        "issued_at": (
            rf"(issued|invoiced?|billed|order|ordered|transaction){_END}",
            r"rechnungs_?datum|beleg_?datum|date_(de_)?(la_)?factur(e|ation)",
            rf"created{_END}",
            "date",
        ),
        "due_at": (rf"(due|payment_due){_END}",),
        "paid_at": (rf"(paid|payment){_END}",),
        "failed_at": (rf"(failed|payment_failed){_END}",),
        "amount": (
            "amount",
            "total",
            "amount_usd",
            "total_amount",
            "invoice_amount",
            "price",
            "value",
            r"amount_[a-z]{3}",
            r"(netto|brutto|rechnungs)?_?betrag|summe|montant(_(ht|ttc|total))?|importe",
        ),
    },
    "support_tickets": {
        "ticket_id": ("ticket_id", "case_id", r"\w*question_id", "id"),
        "opened_at": (
            rf"(opened|submitted|created|reported|raised){_END}",
            r"date_\w*(asked|opened|created|submitted)",
            "date",
        ),
        "first_reply_at": (
            rf"(first_reply|first_response|first_responded|first_replied|replied|responded){_END}",
            rf"first_(admin|agent|contact)_(reply|response){_END}",
        ),
        "closed_at": (rf"((last_)?(closed?|resolved|solved)){_END}",),
        "reopened_at": (rf"reopened{_END}",),
        "rated_at": (rf"rated{_END}",),
        "severity": ("severity", "priority", "urgency"),
        "category": ("category", "topic", "ticket_type", "type"),
        "rating": ("rating", "satisfaction", "satisfaction_score", "csat", "csat_score"),
        "text": ("text", "description", "body", "message"),
    },
    "surveys": {
        "answered_at": (
            rf"(review_)?(answer|answered|responded|rated|submitted|reviewed){_END}",
            r"date_\w+",
            "date",
            rf"created{_END}",
        ),
        "person": ("person", "respondent", "respondent_id", "contact_id"),
        "kind": ("kind", "survey_type", "survey"),
        "score": (
            "score",
            "nps",
            "nps_score",
            "csat",
            "csat_score",
            "rating",
            r"\w+_rating",
            r"\w+_score",
            "answer",
        ),
        "comment": ("comment", "comments", "feedback", "text", r"\w*comment_message"),
    },
    "outcomes": {
        "event_time": (
            rf"(churn|churned|cancelled|canceled|cancellation|event|left|unsubscribed){_END}",
            r"\w+_(date|at)",
            r"date_\w+",
            "date",
        ),
        "kind": ("kind", "event_type", "churn_type"),
        "reason": ("reason", "reason_code", "churn_reason", "churn_category"),
        "amount": ("amount", "refund_amount", "refund_amount_usd", "mrr_lost"),
    },
}
# In every contract.
COMMON_PATTERNS = {
    "known_at": (rf"(known|loaded|ingested|synced|updated|modified){_END}",),
    "currency": ("currency", "currency_code"),
    "is_deleted": ("is_deleted", "deleted"),
}
TIME_COLUMNS_NEEDED = {
    name: str(CONTRACTS[name].event_time)
    for name in (
        "subscriptions",
        "usage_events",
        "invoices",
        "support_tickets",
        "surveys",
        "outcomes",
    )
}
NAMING_NUMBER = re.compile(
    r"(^|_)(ids?|codes?|zip|zipcode|offset|postcode|plz|iban|bic|ean|gtin|upc|isbn|uuid|guid)(_|$)"
    r"|(^|_)(phone|telephone|mobile|fax|tel|telefon|postal|sku|asin|barcode|vat|ip|port|lat|lon|lng"
    r"|latitude|longitude|version|build|serial|group|class|category|segment|type|cluster|region"
    r"|district|department|warengruppe|no|num|number|key)$|nr$|nummer$|code$"
    r"|^(invoice|order|transaction|store|branch|shop|filiale|product|article|artikel|item)$"
)
"""Names of numbers that name something, of which sums and means say nothing."""
CALENDAR_NUMBER = re.compile(
    r"((birth|start|end|order|login|event|invoice|transaction|purchase|fiscal|calendar|iso)_)?"
    r"(year|month|week|weekday|quarter|hour|(day|week|month)_?of_?(the_)?(year|month|week)|day_?no"
    r"|year_?month|year_?week|yyyymm|yyyyww|period|dow|doy|jahr|monat|woche|wochentag|kw"
    r"|kalenderwoche|stunde|quartal)(_?(no|nr|num|number|id|key))?"
)
"""Names of numbers that say when, and not how much."""
MONEY_NAME = re.compile(
    r"(^|_)(value|sales|revenue|amount|price|spend|spent|paid|turnover|cost|total|fee|charge|gmv"
    r"|umsatz|betrag|preis|summe|netto|brutto|dollars?|euros?|usd|eur|gbp|chf)(_|$)"
)
"""Names of numbers that are money, where they have decimals."""
CATEGORY_NAME = re.compile(
    r"(\w+_)?(category|department|product_(type|group|line|family)|commodity|kategorie|warengruppe"
    r"|sparte)(_(name|desc|description))?"
)
"""Names of columns that say what kind of thing was bought."""
UNIT_PRICES = ("price", "unit_price", "item_price")
QUANTITIES = ("quantity", "qty", "units")
UNIT_AMOUNT = re.compile(
    r"(plan_|price_|unit_|item_|recurring_)(unit_)?(amount|price)(_decimal|_in_cents|_cents)?"
    r"|price(_in_cents|_cents)?"
)
PERIOD_AMOUNT = re.compile(
    r"(subscription_|billing_|contract_)?(amount|fee|total|charge)(_decimal|_in_cents|_cents)?"
)
PERIOD_COUNT = re.compile(
    r"(plan_|price_|billing_|recurring_)?(interval|period|frequency)_(count|length)"
    r"|billing_period"
)
CURRENT_PERIOD = re.compile(r"current_(period|term)_(starts?|ends?|started|ended)(_at|_on|_date)?")
# Of a plan with so many months; a month of an end is 31 days, so that nobody seems to lapse on its
# last day.
PLAN_MONTHS = {
    "day": 12 / 365.25,
    "week": 12 * 7 / 365.25,
    "month": 1,
    "quarter": 3,
    "half": 6,
    "year": 12,
}
PLAN_DAYS = {"day": 1, "week": 7, "month": 31, "quarter": 92, "half": 183, "year": 366}
_PLAN_WORDS = {
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "quarterly": "quarter",
    "semiannual": "half",
    "semiannually": "half",
    "halfyearly": "half",
    "halfyear": "half",
    "biannual": "half",
    "annual": "year",
    "annually": "year",
    "annum": "year",
    "yearly": "year",
    "monatlich": "month",
    "quartalsweise": "quarter",
    "vierteljährlich": "quarter",
    "halbjährlich": "half",
    "jährlich": "year",
    "monat": "month",
    "monate": "month",
    "jahr": "year",
    "jahre": "year",
}
OUTCOME_COLUMN = re.compile(
    r"churn|attrit|cancel|unregist|final_result|is_lost|left_flag|retention", re.IGNORECASE
)
UTC_NAME = re.compile(r"(?<=.)_(utc|gmt)$")
CURRENCY_SUFFIX = re.compile(r"_(usd|eur|gbp|chf|sek|nok|dkk|pln|jpy|aud|cad|inr|brl)$")


def snake(name: str) -> str:
    """The name in small letters and underscores.

    The zone that a time is written in is no part of it.

    >>> snake("CustomerID"), snake("Customer ID"), snake("BeginDate"), snake("MRR (USD)")
    ('customer_id', 'customer_id', 'begin_date', 'mrr_usd')
    >>> snake("MonthlyFee__c")  # as Salesforce ends the names of added fields
    'monthly_fee'
    >>> snake("Ended At (UTC)")
    'ended_at'
    """
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub("(?<=.)__c$", "", name))
    plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    return UTC_NAME.sub("", plain)


def plan_length(text: str) -> tuple[int, str] | None:
    """How many of which unit a plan lasts, in words; None where nobody can tell.

    >>> plan_length("Monthly"), plan_length("every 3 months"), plan_length("half-yearly")
    ((1, 'month'), (3, 'month'), (1, 'half'))
    >>> plan_length("P1Y"), plan_length("pro")
    ((1, 'year'), None)
    """
    plain = re.sub(r"[-_ ]+", " ", text.strip().lower())
    iso = re.fullmatch(r"p(\d+)([dwmy])", plain)
    if iso is not None:
        unit = {"d": "day", "w": "week", "m": "month", "y": "year"}[iso[2]]
        return int(iso[1]), unit
    found = re.fullmatch(r"(?:every |per |each |alle )?(\d+ )?([^\W\d]+(?: [^\W\d]+)?)", plain)
    if found is None:
        return None
    word = found[2].replace(" ", "")
    for known in (word, word.removesuffix("s")):
        unit = _PLAN_WORDS.get(known, known)
        if unit in PLAN_MONTHS:
            return int(found[1] or 1), unit
    return None


def tokens(name: str) -> tuple[str, ...]:
    """The words of a table's name.

    >>> tokens("365_student_hub_questions")
    ('365', 'student', 'hub', 'questions')
    """
    return tuple(snake(name).split("_"))


def patterns(contract: str) -> dict[str, tuple[str, ...]]:
    """Patterns of every column of a contract; its own name always comes first."""
    return {**COLUMN_PATTERNS.get(contract, {}), **COMMON_PATTERNS}


def squeezed(name: str) -> str:
    """The name without underscores: `customerid` and `customer_id` are one.

    >>> squeezed("customer_id")
    'customerid'
    """
    return name.replace("_", "")
