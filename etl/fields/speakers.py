"""A label or role of a transcript, in the languages that the providers and their resellers serve → who speaks."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from etl.decode.invisible import visible

_NOISE = re.compile(r"[\s*_#\[\]()•–—>.-]+|\d+")

# The words for the agent, and those for the customer.
LANGUAGES = {
    "English": (
        "agent assistant ai bot robot voicebot chatbot operator representative rep",
        "user customer human caller client callee guest patient prospect candidate lead",
    ),
    "Arabic": ("المساعد مساعد الوكيل وكيل الموظف", "العميل عميل المستخدم مستخدم الزبون المتصل"),
    "Bengali": ("এজেন্ট সহকারী", "গ্রাহক"),
    "Chinese": ("助手 助理 客服 坐席 代理 机器人 機器人", "用户 用戶 客户 客戶 顾客 顧客"),
    "Czech, Slovak": ("asistent asistentka", "zákazník zákaznik uživatel používateľ volající volajúci klient"),
    "Danish, Norwegian, Swedish": ("assistent", "kunde kund bruger bruker användare uppringare"),
    "Dutch": ("assistent medewerker", "klant gebruiker beller"),
    "Finnish": ("avustaja agentti", "asiakas käyttäjä soittaja"),
    "French": (
        "assistant assistante agent agente conseiller conseillère ia",
        "client cliente utilisateur utilisatrice appelant",
    ),
    "German": (
        "assistent assistentin agentin berater beraterin mitarbeiter mitarbeiterin ki sprachassistent sprachassistentin"
        " telefonassistent telefonassistentin",
        "kunde kundin nutzer benutzer anrufer anruferin mensch teilnehmer teilnehmerin interessent interessentin"
        " gesprächspartner gesprächspartnerin",
    ),
    "Greek": ("βοηθός πράκτορας", "πελάτης χρήστης"),
    "Gujarati, Punjabi": ("એજન્ટ ਏਜੰਟ", "ગ્રાહક ਗਾਹਕ"),
    "Hebrew": ("סוכן סוכנת עוזר עוזרת נציג נציגה בוט", "לקוח לקוחה משתמש משתמשת מתקשר"),
    "Hindi, Marathi": ("एजेंट सहायक असिस्टेंट बॉट एजंट", "ग्राहक उपयोगकर्ता यूज़र यूजर कॉलर कस्टमर"),
    "Hungarian": ("asszisztens ügynök", "ügyfél felhasználó hívó"),
    "Indonesian, Malay": ("asisten agen ejen", "pelanggan pengguna penelepon"),
    "Italian": ("assistente agente operatore", "cliente utente chiamante"),
    "Japanese": ("アシスタント エージェント ボット オペレーター", "ユーザー お客様 顧客"),
    "Kannada, Malayalam": ("ಏಜೆಂಟ್ ഏജന്റ്", "ಗ್ರಾಹಕ ഉപഭോക്താവ്"),
    "Korean": ("상담원 상담사 어시스턴트 에이전트 봇", "고객 고객님 사용자"),
    "Polish": ("asystent asystentka konsultant", "klient klientka użytkownik rozmówca"),
    "Portuguese": ("assistente agente atendente", "cliente usuário utilizador"),
    "Romanian": ("asistent agent", "client utilizator apelant"),
    "Russian, Bulgarian": ("агент ассистент асистент помощник оператор бот", "клиент пользователь абонент потребител"),
    "Serbian, Croatian": ("asistent agent", "klijent korisnik"),
    "Spanish": ("asistente agente operador asesor asesora", "cliente clienta usuario usuaria llamante"),
    "Tamil, Telugu": ("முகவர் ఏజెంట్", "வாடிக்கையாளர் பயனர் కస్టమర్ వినియోగదారు"),
    "Thai": ("ผู้ช่วย เจ้าหน้าที่", "ลูกค้า ผู้ใช้"),
    "Turkish": ("asistan temsilci", "müşteri kullanıcı arayan"),
    "Ukrainian": ("агент асистент помічник", "клієнт користувач"),
    "Urdu": ("ایجنٹ", "صارف گاہک"),
}
SYSTEM = "system tool système outil sistema sistem система सिस्टम النظام מערכת 系统 系統 システム 시스템"
# What an agent may be called beside its word: "Virtual Assistant", "Agente virtual".
KINDS = (
    "virtual voice phone digital support sales service virtuel virtuelle virtueller virtuale vocal vocale telefonico "
    "виртуальный голосовой वर्चुअल"
)
ROLES = {"function": "system", "developer": "system", "model": "agent"}  # of messages, but no labels of a text


@lru_cache(maxsize=1 << 12)
def fold(word: str) -> str:
    """A label or name without case, accents, numbers and marks around it: ``**Agent 1**`` is ``agent``."""
    plain = unicodedata.normalize("NFKD", visible(word)).casefold()
    plain = plain if plain.isascii() else "".join(sign for sign in plain if not unicodedata.combining(sign))
    return _NOISE.sub(" ", plain.replace("ı", "i")).strip()


def _speakers() -> Iterator[tuple[str, str]]:
    for agent, customer in LANGUAGES.values():
        yield from ((fold(word), "agent") for word in agent.split())
        yield from ((fold(word), "customer") for word in customer.split())
    yield from ((fold(word), "system") for word in SYSTEM.split())


SPEAKERS = dict(_speakers())
_KINDS = frozenset(map(fold, KINDS.split()))


@lru_cache(maxsize=1 << 12)
def labelled(label: str, agent: str = "") -> str:
    """The speaker whom a label names, "" for none: a known word, several of one speaker, or the agent's own name.

    Words for the kind of a speaker count where another one says which.
    """
    word, own = fold(label), fold(agent)
    if word in SPEAKERS:
        return SPEAKERS[word]
    named = {SPEAKERS.get(part, "") for part in word.split() if part not in _KINDS}
    return "agent" if is_name(word, own) else named.pop() if len(named) == 1 else ""


def is_name(word: str, own: str) -> bool:
    """Whether a folded label is a folded name, in full or its first word."""
    return word != "" and word in (own, own.partition(" ")[0])


@lru_cache(maxsize=1 << 12)
def role(word: str, agent: str = "") -> str:
    """The speaker whom the role of a message names, "" for none."""
    plain = fold(word)
    is_call = plain.startswith(("tool", "function"))
    return ROLES.get(plain) or ("system" if is_call else labelled(word, agent))
