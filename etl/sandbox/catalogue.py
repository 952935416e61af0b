"""The faults of the sandbox: what happens, to which providers, and when, unless the plan says otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass

from etl.sandbox.effect import Effect
from etl.sandbox.http_faults import HTTP_EFFECTS
from etl.sandbox.paging_faults import PAGING_EFFECTS
from etl.sandbox.simulated_call import PROVIDERS as EVERY
from etl.sandbox.value_faults import VALUE_EFFECTS

COUNTED = ("autocalls", "vaani")
WINDOWED = ("ringg", "autocalls")
FILTERED = ("ringg", "ravan", "autocalls")


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault: what happens, the providers that can have it, its options with their defaults, and its variants."""

    sentence: str
    providers: tuple[str, ...]
    options: Mapping[str, str]
    variants: Mapping[str, Effect]


SENTENCES: dict[str, tuple[str, tuple[str, ...], str]] = {
    # what happens, to which providers, options with their defaults; an option without a value has none
    "H01": ("429 with Retry-After in seconds (after=2).", EVERY, "every=5 after="),
    "H02": ("429 with Retry-After as a date: IMF, RFC 850, asctime, no zone (after=2).", EVERY, "every=5 after="),
    "H03": ("429 without Retry-After.", EVERY, "every=5"),
    "H04": ("429 with invalid Retry-After: negative, zero, huge, list, empty, no number, year 9999.", EVERY, "every=5"),
    "H05": ("429 on every request.", EVERY, ""),
    "H06": ("500 for the first requests, then normal answers.", EVERY, "first=3"),
    "H07": ("502, 503 with and without Retry-After, 504, 520, 530.", EVERY, "every=5"),
    "H08": ("500 for every page that contains one position of the list (at=25).", EVERY, "at="),
    "H09": ("401 once in the middle of a run.", EVERY, "nth=3"),
    "H10": ("402 and 403.", EVERY, "nth=3"),
    "H11": ("400 for one phone, by default the last one (phone=+…).", ("ravan",), "phone="),
    "H12": ("404 and 410: the endpoint has moved.", EVERY, ""),
    "H13": ("422 with a FastAPI detail.", ("vaani",), "nth=3"),
    "H14": ("408, 425 and 499.", EVERY, "every=5"),
    "H16": ("No answer for a while (seconds=30).", EVERY, "every=5 seconds="),
    "H17": ("The body arrives slowly (bytes_per_second=40).", EVERY, "nth=2 bytes_per_second="),
    "H18": ("Ten thousand headers, a header of a megabyte, headers without end.", EVERY, "every=5"),
    "H19": ("The connection ends or is reset in the middle of a body of known length.", EVERY, "every=5"),
    "H20": ("The connection ends in the middle of a body of unknown length.", EVERY, "every=5"),
    "H21": ("Gzip cut short, and gzip of two members.", EVERY, "every=5"),
    "H22": ("A gzip bomb (size=80000000), stacked codings, br and zstd that nobody asked for.", EVERY, "every=5 size="),
    "H23": ("A login page with 200, JSON under another type, an empty body, 204.", EVERY, "every=5"),
    "H24": ("A wrong charset, a byte order mark, UTF-16, a byte that is no UTF-8.", EVERY, "every=5"),
    "H25": ("An error under 200: success false, an error object, a null list, a missing list.", EVERY, "every=5"),
    "H26": ("A redirect: same host, another one, to http, //host, userinfo, a loop (to=URL).", EVERY, "every=5 to="),
    "H27": ("The response to another request: its phone, page or offset differ.", EVERY, "every=5"),
    "H28": ("An answer from a stale cache (lag=900 seconds).", EVERY, "every=3 lag="),
    "H29": ("The connection is closed after an answer, unannounced.", EVERY, "every=2"),
    "G01": ("A record twice on one page, and once more on the next.", EVERY, ""),
    "G02": ("New calls arrive at each request (count=1).", EVERY, "count="),
    "G03": ("Calls are deleted at each request (count=1).", EVERY, "count="),
    "G04": ("A call changes at each request, and changed calls move to the head of the list.", EVERY, ""),
    "G05": ("All calls share one creation time.", EVERY, ""),
    "G06": ("The oldest calls are deleted at the third request (count=20).", EVERY, "nth=3 count="),
    "G07": (
        "A total that is absent, the word many, negative, zero, too low or high (more=7), or another on each page.",
        EVERY,
        "more=",
    ),
    "G08": ("An empty page in the middle.", EVERY, "nth=2"),
    "G09": ("A page of half its records in the middle.", EVERY, "nth=2"),
    "G10": ("Endless pages: the third repeated, always the first, or the first two in turn.", EVERY, ""),
    "G11": ("The provider says too early that a page is the last.", COUNTED, ""),
    "G12": ("Another page size than requested, with or without saying so (size=7).", EVERY, "size="),
    "G13": ("400 beyond a cap (cap=10000), or status=404 behind the end of the list.", EVERY, "cap= status="),
    "G14": (
        "The date filter uses another time zone (minutes=330), as do all times shown, or excludes its bounds.",
        WINDOWED,
        "minutes=",
    ),
    "G15": ("Some records lie outside the filter.", FILTERED, ""),
    "G16": ("The filter is ignored.", FILTERED, ""),
    "G17": ("New calls are listed late, with their original time (lag=600 seconds).", EVERY, "lag="),
    "G18": ("The provider lists nothing, or only the last days (days=7).", EVERY, "days="),
    "G19": ("The order differs at each request.", EVERY, ""),
    "G20": ("The list is cut to a number of calls (size=1).", EVERY, "size="),
    "V01": ("An id that is null, missing, empty or blank.", EVERY, "in="),
    "V02": ("An id that is a number, has leading zeros or capitals, or is ten kilobytes long.", EVERY, "in="),
    "V03": ("NaN, Infinity and -Infinity as costs.", EVERY, "in="),
    "V04": ("Numbers too large for a float, a decimal or an int.", EVERY, "in="),
    "V05": ("Negative and absurd durations and costs, 12,50 and ₹12.", EVERY, "in="),
    "V06": (
        "NUL in a text and in a key, lone surrogates, controls, invisible marks, emoji, an invalid escape.",
        EVERY,
        "in=",
    ),
    "V07": ("A huge transcript, as one text and as very many turns (size=1000000 bytes).", EVERY, "in=50 size="),
    "V08": ("Nesting a thousand deep (depth=1000).", EVERY, "in= depth="),
    "V09": ("The id key twice in one object, with two values.", EVERY, "in="),
    "V10": ("Invalid times, and times in other notations.", EVERY, "in="),
    "V11": ("Naive times in a gap of daylight saving time, and times with an offset.", EVERY, "in="),
    "V12": ("The year 9999.", EVERY, "in="),
    "V13": ("Unknown statuses, and known ones in another case.", EVERY, "in="),
    "V14": ("A new field.", EVERY, "in="),
    "V15": ("A field is missing.", EVERY, "in="),
    "V16": ("Values of another type.", EVERY, "in="),
    "V17": ("A record, or the list of records, of another type.", EVERY, "in="),
    "V18": (
        "Phones with spaces, extensions, marks, other digits, without plus, tel:, sip:, whatsapp:, anonymous.",
        EVERY,
        "in=",
    ),
    "V19": ("HTML, templates, SQL, formulas, terminal codes and forged log lines in names.", EVERY, "in="),
    "V20": ("The API key is echoed in a name and in a field.", EVERY, "in="),
}
EFFECTS = HTTP_EFFECTS | PAGING_EFFECTS | VALUE_EFFECTS
CATALOGUE = {
    fault_id: FaultSpec(sentence, providers, dict(word.split("=") for word in options.split()), EFFECTS[fault_id])
    for fault_id, (sentence, providers, options) in SENTENCES.items()
}
