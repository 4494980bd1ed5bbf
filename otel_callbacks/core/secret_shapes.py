"""What keys, tokens and passwords look like: one table of shapes, and the names under which they are kept.

Rules for this file: linear time. A shape is tried only where one of its anchors, a literal, stands; what an attempt that
fails can have read is bounded by the pattern's own numbers, and what one has matched is not looked at again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final


@dataclass(frozen=True, slots=True)
class Shape:
    """One family of secrets.

    Attributes:
        anchors: Lower-case literals; each match begins with one of them.
        pattern: A regular expression. The last of its groups that took part is the secret; the whole match if it has none.
        anywhere: An anchor may stand inside of a word; one that begins with a letter or a digit begins one otherwise.
    """

    anchors: tuple[str, ...]
    pattern: str
    anywhere: bool = False


@cache
def compiled(shape: Shape) -> re.Pattern[str]:
    """Return the expression, which is compiled when a text first has one of its anchors."""
    return re.compile(shape.pattern, re.VERBOSE)


def _tokens(prefixes: str, characters: str, least: int, most: int = 255) -> Shape:
    """Return the shape of tokens that begin with one of the *prefixes*, and go on with so many *characters*."""
    words = prefixes.split()
    either = "|".join(map(re.escape, words))
    return Shape(tuple(word.lower() for word in words), rf"(?:{either})[{characters}]{{{least},{most}}}")


def _shape(anchors: str, pattern: str) -> Shape:
    return Shape(tuple(anchors.split()), pattern)


_WORD: Final = "A-Za-z0-9_"
_DASHED: Final = "A-Za-z0-9_-"
_DOTTED: Final = "A-Za-z0-9._-"
_BASE64: Final = "A-Za-z0-9+/="
_HEX: Final = "0-9a-fA-F"
# How a number of decimal digits begins in base64.
_SNOWFLAKES: Final = " ".join(f"{a}{b}{c}" for a in "mno" for b in "dtjz" for c in "aeimquycgk")

# -- shapes that are secrets wherever they stand: the issuers' own prefixes ----------------------------------------------

_PREFIXED: Final = (
    # Model providers: OpenAI, Anthropic, DeepSeek, OpenRouter, Langfuse; Groq, xAI, Perplexity, Hugging Face, Replicate,
    # NVIDIA, Fireworks, Tavily, Cerebras, Jina, Voyage, LangSmith, Pinecone, Databricks, Google, Bedrock.
    _tokens("sk- pk- rk-", _DASHED, 8),
    _tokens("gsk_ xai- pplx- hf_ r8_ nvapi- fw_ tvly- csk- jina_ pa- lsv2_pt_ lsv2_sk_ ls__ pcsk_", _DASHED, 16),
    _tokens("api_org_ dapi dkea", _WORD, 30),
    _tokens("AIza", _DASHED, 30, 60),
    _tokens("ya29. 1//0", _DOTTED, 20, 2_048),
    _tokens("GOCSPX- ABSKQmVkcm9ja0FQSUtleS", "A-Za-z0-9+/=_-", 20),
    # Clouds: AWS (access keys, ids of roles), Alibaba, Tencent, DigitalOcean, Heroku, Fly, Yandex, Azure DevOps.
    _tokens("AKIA ASIA ABIA ACCA AROA AIDA AGPA AIPA ANPA ANVA", "A-Z0-9", 16, 16),
    _tokens("LTAI AKID", "A-Za-z0-9", 16, 40),
    _tokens("dop_v1_ doo_v1_ dor_v1_", _HEX, 40),
    _tokens("HRKU- AQVN t1.9eu", _DASHED, 30),
    _tokens("fm1_ fm2_ fo1_", "A-Za-z0-9+/=_-", 20, 2_048),

    # Code and packages: GitHub, GitLab, npm, PyPI, RubyGems, NuGet, Docker, Buildkite, CircleCI, crates, Terraform, Vault,
    # Doppler, Pulumi, Prefect, Sourcegraph, Postman, ReadMe, Contentful.
    _tokens("ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", _WORD, 20),
    _tokens("glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- glsoat- gloas- glffct-", _DOTTED, 16),
    _tokens("npm_ rubygems_ oy2 dckr_pat_ dckr_oat_ bkua_ CCIPAT_ cio", _DASHED, 30),
    _tokens("pypi-", _DASHED, 40, 1_024),
    _tokens("atlasv1.", "A-Za-z0-9=_-", 40),
    _tokens("hvs. hvb. hvr.", _DASHED, 20, 512),
    _tokens("dp.pt. dp.st. dp.ct. dp.sa.", _DOTTED, 30),
    _tokens("pul- pnu_ pnb_ sgp_ PMAK- rdme_ CFPAT-", _DASHED, 30),
    # Messages: Slack, Discord, Teams, Telegram, SendGrid, Mailgun, Mailchimp, Twilio, Brevo.
    _tokens("xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs- xoxe.xoxp- xapp-", _DOTTED, 10),
    _shape("hooks.slack.com", r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/_-]{10,200})"),
    _shape("/api/webhooks/", r"/api/webhooks/([0-9]{10,30}/[A-Za-z0-9_-]{20,200})"),
    _shape("hooks.zapier.com", r"hooks\.zapier\.com/hooks/catch/([A-Za-z0-9/]{8,100})"),
    _shape("hook.", r"hook\.[a-z0-9]{2,4}\.(?:make|integromat)\.com/([a-z0-9A-Z]{16,100})"),
    _shape("webhook.office.com", r"webhook\.office\.com/webhookb2/([A-Za-z0-9@/-]{20,400})"),
    _shape(":aa", r":AA[A-Za-z0-9_-]{30,40}"),
    _shape(_SNOWFLAKES, r"[MNO][A-Za-z0-9_-]{22,28}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}"),
    _shape("sg.", r"SG\.[A-Za-z0-9_-]{16,40}\.[A-Za-z0-9_-]{30,60}"),
    _shape("key-", rf"key-[{_HEX}]{{32}}\b"),
    _shape("sk0 sk1 sk2 sk3 sk4 sk5 sk6 sk7 sk8 sk9 ska skb skc skd ske skf", r"SK[0-9a-f]{32}\b"),
    _tokens("xkeysib- xsmtpsib-", _DASHED, 40),
    # Money: Stripe, Square, Shopify, PayPal, Plaid, Flutterwave.
    _tokens("sk_live_ sk_test_ rk_live_ rk_test_ pk_live_ pk_test_ whsec_ sk_", _BASE64, 16),
    _tokens("sq0atp- sq0csp- EAAAE shpat_ shpss_ shpca_ shppa_ shptka_", _DASHED, 20),
    _tokens("access_token$production$ access_token$sandbox$", "A-Za-z0-9$", 20),
    _tokens("access-production- access-sandbox- access-development-", _DASHED, 30),
    _tokens("FLWSECK_TEST- FLWSECK-", _DASHED, 12),
    # Watching and working: New Relic, Grafana, Sentry, PostHog, Dynatrace, Linear, Notion, Figma, Netlify, Supabase, Neon,
    # Typeform, Frame.io, Render, PlanetScale, Duffel, Adafruit, Clojars, EasyPost, Snyk, Atlassian, Airtable, 1Password, age.
    _tokens("NRAK- NRJS- NRII- NRAL-", _DASHED, 16),
    _tokens("glc_ glsa_", "A-Za-z0-9+/=_-", 30),
    _tokens("sntrys_ sntryu_ phc_ phx_ phs_", "A-Za-z0-9+/=_.-", 30, 512),
    _tokens("dt0c01. dt0s01. dt0s02. dt0s16.", _DOTTED, 20),
    _tokens("lin_api_ lin_oauth_ secret_ ntn_ figd_ nfp_ sbp_ sb_secret_ napi_ tfp_ fio-u- rnd_ sess- tgp_v1_", _DASHED, 20),
    _tokens("pscale_tkn_ pscale_pw_ pscale_oauth_ duffel_live_ duffel_test_ aio_ CLOJARS_ EZAK EZTK snyk_", _DASHED, 20),
    _tokens("ATATT3 ATCTT3 ATBB", "A-Za-z0-9=_-", 20),
    _shape("pat", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}\b"),
    _tokens("ops_eyJ", "A-Za-z0-9+/=_-", 40, 4_096),
    _tokens("AGE-SECRET-KEY-1", "A-Z0-9", 40, 80),
    # Formats: JSON web tokens; keys in PEM, to their end or as far as the alphabet goes (its line breaks may be escaped, once
    # or twice); PuTTY's keys.
    _shape("eyj", r"eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,6000}(?:\.[A-Za-z0-9_-]{0,2000}){0,3}"),
    _shape(
        "-----begin",
        r"""(?i:-----BEGIN(?:[ +]|%20)[A-Z0-9 +%]{0,40}PRIVATE(?:[ +]|%20)KEY(?:[ ]BLOCK)?-----)
            ((?:[A-Za-z0-9+/=:,;.()\s\\@<>_"'%&]|-(?!----)){1,8192})""",
    ),
    _shape("---- begin", r"----[ ]BEGIN[ ][A-Z0-9 ]{0,40}PRIVATE[ ]KEY[ ]----((?:[A-Za-z0-9+/=:,;.()\s\\@<>_']|-(?!---)){1,8192})"),
    _tokens("LS0tLS1CRUdJTi", _BASE64, 20, 16_384),
    # Hashes of passwords, as crypt(3) and htpasswd have them.
    _shape("$", r"\$(?:2[abxy]|1|5|6|y|apr1|argon2(?:id|i|d)|scrypt)\$[^\s\"'$]{1,100}\$[^\s\"']{16,300}|\$2[abxy]\$[0-9]{2}\$[A-Za-z0-9./]{53}"),
    _shape("private-lines:", r"(?i:Private-Lines):\s[0-9]{1,4}([A-Za-z0-9+/=\s\\]{20,4096})"),
)  # fmt: skip

# -- secrets by what stands before them: URLs, headers, options ----------------------------------------------------------

_INTRODUCED: Final = (
    # A header that is one: the whole line, because its parts have names of their own.
    _shape(
        "authorization proxy-authorization cookie set-cookie",
        r"""[A-Za-z-]{6,19}\\{0,4}["']?\s{0,4}(?:=>|=|:|,)\s{0,4}[bf]?\\{0,4}["']?(?!\[redacted)(?i:((?:digest|oauth|signature)\s[^\r\n]{4,4096}|[^\s"'\\][^"'\r\n\\]{2,4096}))""",
    ),
    _shape("x-", r"""(?i:x-[a-z0-9-]{0,40}(?:key|token|secret|auth))\\{0,4}["']?\s{0,4}[:=,]\s{0,4}[bf]?\\{0,4}["']?(?!\[redacted)([^\s"'\\,;]{6,4096})"""),
    _shape("digest", r"(?i:digest)\s{1,4}(\w{3,10}=\\{0,4}[\"'][^\r\n]{1,2000})"),
    _shape("auth", r"""auth\\{0,4}["']\s{0,4}:\s{0,4}\\{0,4}["']([A-Za-z0-9+/=_-]{12,4096})(?=\\{0,4}["'])"""),
    _shape("bearer", r"(?i:bearer)\s{1,4}[A-Za-z0-9._~+/=-]{8,4096}"),
    _shape("basic", r"(?i:basic)\s{1,4}((?=[A-Za-z0-9+/]{0,300}[0-9=+/])[A-Za-z0-9+/]{8,4096}={0,2})"),
    # user:password in a URL; a database's, that was not escaped, may have a slash, an at sign or a colon in it.
    _shape(
        "postgres mysql mariadb mongodb redis amqp mssql clickhouse snowflake neo4j bolt ftp sftp smtp ldap kafka nats",
        r"""[a-z0-9]{3,12}(?:\+[a-z0-9]{1,20}){0,2}://(?!\[redacted)([^\s/@:"'<>]{0,256}:[^\s"'<>]{1,512})(?=@)""",
    ),
    _shape("://", r"""://(?!\[redacted)([^\s/@:"'<>]{0,256}:[^\s/@"'<>]{1,512})(?=@)"""),
    _shape("://", r"""://((?=[A-Za-z_-]{0,100}[0-9])[A-Za-z0-9_-]{16,200})(?=@)"""),
    _shape("%3a%2f%2f", r"%3[aA]%2[fF]%2[fF]((?:[^\s&\"'%/]|%(?!40|2[fF]|3[aA])){0,256}%3[aA](?:[^\s&\"'%/]|%(?!40|2[fF])){1,512})(?=%40)"),
    _shape("jdbc:oracle:thin:", r"jdbc:oracle:thin:([^\s/@\"']{1,100}/[^\s@\"']{1,200})(?=@)"),
    _shape("wifi:", r"(?i:wifi):[^\s]{0,200};P:([^\s;]{4,100});"),
    _shape("mnemonic seed recovery", r"(?i:mnemonic|(?:seed|recovery)[ _-]?phrase)[^a-z]{1,8}(?:is[^a-z]{1,4})?([a-z][a-z\s]{50,230})"),
    _shape("identified", r"""(?i:identified\s{1,4}(?:with\s{1,4}\w{1,40}\s{1,4})?by)\s{1,4}["']([^"']{1,512})"""),
    _shape("-u", r"""-u(?:ser)?[ =]{1,2}["']?[^\s:"'=-][^\s:"'=]{0,100}:([^\s"']{1,200})"""),
    _shape("key= code= auth=", r"""(?<=[?&])(?i:key|code|auth)=([^\s"'&<>\#]{6,4096})"""),
    _shape(":5432:", r":5432:[^\s:]{1,100}:[^\s:]{1,100}:(\S{1,200})"),
)  # fmt: skip

SHAPES: Final = (*_PREFIXED, *_INTRODUCED)

# -- secrets by the name of the field, parameter, variable or option that holds them -------------------------------------

_KEYS: Final = (
    "api access auth account private subscription service master license consumer storage session app admin root user deploy ssh"
    " signing encryption secret sharedaccess encrypt"
)
_KEPT_UNDER: Final = {
    "pass": r"(?:pass(?:w(?:or)?d|wort|phrase|code)|(?<![A-Za-z])pass)",
    "pwd": r"pwd",
    "secret": r"secret(?:[_-]?(?:access)?[_-]?key)?",
    # Of a language model's own tokens nothing is secret.
    "token": r"(?<!eos_)(?<!bos_)(?<!pad_)(?<!unk_)(?<!sep_)(?<!cls_)(?<!mask_)(?<!stop_)(?<!next_)(?<!page_)(?<!Page)(?<!next)token",
    "key": "(?:" + "|".join(f"(?<={word})|(?<={word}[ _-])" for word in _KEYS.split()) + ")key",
    "kennwort": r"kennwort",
    "密": r"密[码碼钥鑰]",
    "口令": r"口令",
    "contrase": r"contraseñ?n?a",
    "парол": r"пароль",
    "mot de passe": r"mot[ ]de[ ]passe",
    "credential": r"credentials?",
    "sharedaccesssig": r"sharedaccesssignature",
    "connection": r"connection[_-]?string",
    "x-amz-": r"x-amz-(?:signature|credential|security-token)",
    "sess": r"sess(?:ion)?id",
    "mnemonic": r"mnemonic",
    "seed": r"seed[_-]?phrase",
    **{
        short: rf"(?<![A-Za-z0-9])(?<![A-Za-z0-9]_){short}(?:nature)?"
        for short in ("otp", "pin", "cvv", "cvc", "ssn", "sig")
    },
}  # fmt: skip
# Words that stand where a value would, in code and in documentation; and what has been masked already.
_NO_VALUE: Final = r"(?!(?i:none|null|true|false|undefined|required|optional|string|str|bytes|int|any|integer)\b|\[redacted|\.\.\.|[A-Za-z_.]{1,60}\()"
_BARE: Final = r"""[^\s"'&;,<>(){}\[\]\\|]"""
_ODD: Final = r"[0-9!@$%^*+/_=~-]"  # in a mere word of prose there is none
# In quotation marks, which may be escaped because the whole stands in a string; without, after an equals sign whatever it is,
# after a colon what is no word of prose or ends its line, after a blank only behind an option's dash; an element; SQL; a
# sentence.
_QUOTE: Final = r"(?:&quot;|&\#3[49];|&apos;)"
_VALUE: Final = rf"""(?:
    \\{{0,4}}["']?\s{{0,8}}(?:=>|:=|==?|:)\s{{0,8}}(?:Secret(?:Str|Bytes)\()?[bfru]{{0,2}}(?:
        \\{{1,4}}["']([^"'\\]{{1,4096}})
      | "(?!\[redacted)((?:[^"\\]|\\.){{1,4096}})
      | '(?!\[redacted)((?:[^'\\]|\\.){{1,4096}})
      | {_QUOTE}([^&<>]{{1,4096}})
      | \[\s{{0,8}}(\\{{0,4}}["'](?!\[redacted)[^\[\]]{{1,4096}})(?=\])
      | [>|][+-]?(?:\s|\\{{1,4}}n)\s{{0,16}}([^\s"\\][^\n"\\]{{3,4096}})
    )
  | \s{{0,2}}(?:=>|:=|==?)\s{{0,2}}{_NO_VALUE}({_BARE}{{3,4096}})
  | (?:%25)?%?(?:3[dD]|3[aA])(?<=%..)([^\s"'&%<>]{{3,4096}})
  | \\{{0,4}}["']?\s{{0,2}}[:\uFF1A]\*{{0,2}}\s{{0,4}}{_NO_VALUE}(?={_BARE}{{0,200}}{_ODD}|{_BARE}{{4,200}}(?:\n|\Z))({_BARE}{{4,4096}})
  | (?:\s[^<>]{{0,100}})?>(?!\[redacted)([^<>]{{1,4096}})(?=</)
  | \\{{0,4}}["']?\s{{0,2}}(?:[,\s]|\\{{1,4}}n)\s{{0,16}}\\{{0,4}}["']?(?i:value)\\{{0,4}}["']?\s{{0,4}}[:=]\s{{0,4}}\\{{0,4}}["']?(?!\[redacted)((?=[^\s"'\\,]{{0,100}}{_ODD})[^\s"'\\,]{{3,4096}})
  | \\{{0,4}}["']\s{{0,2}},\s{{0,4}}[bru]?\\{{0,4}}["']((?=[^\s"'\\]{{0,100}}[0-9!@$%^*+])[^\s"'\\]{{4,4096}})(?=\\{{0,4}}["'])
  | \s{{1,4}}'([^']{{1,512}})(?=')
  | \s{{1,4}}`((?=[^\s`]{{0,100}}{_ODD})[^\s`]{{4,512}})(?=`)
  | [ ]?\|[ ]?((?=[^\s|]{{0,100}}{_ODD})[^\s|]{{4,512}})(?=[ ]?\|)
  | \s{{0,2}}(?:是|为|為)\s{{0,2}}[:\uFF1A]?\s{{0,2}}([!-~]{{4,200}})
  | \s(?:is|was|ist|lautet|provided|supplied|es|est)\s{{0,2}}:?\s{{0,2}}["'`]?((?=[^\s"'`]{{0,100}}{_ODD})[^\s"'`]{{4,200}})
  | \s{{1,4}}((?=[^\s"'`]{{0,100}}[0-9!@$%^*+_=~])[^\s"'`(){{}}:=|-][^\s"'`(){{}}]{{5,200}})(?=\s|\Z|["'`])
)"""
_BEGIN_A_WORD: Final = frozenset(
    {
        "otp",
        "pin",
        "cvv",
        "cvc",
        "ssn",
        "sig",
        "seed",
        "mnemonic",
        "sharedaccesssig",
        "x-amz-",
        "mot de passe",
    }
)
NAMED: Final = {
    stem: Shape((stem,), rf"(?i:{name}){_VALUE}", anywhere=stem not in _BEGIN_A_WORD)
    for stem, name in _KEPT_UNDER.items()
}
# Headers that are one, whatever their value looks like; in a text they have a shape of their own.
_HEADERS: Final = r"(?<![A-Za-z])(?:authorization|(?:set-)?cookie)"
SECRET_NAME: Final = re.compile(rf"(?i:{'|'.join((*_KEPT_UNDER.values(), _HEADERS))})\Z")
"""Searched in a field's name: whether its value is a secret, whatever it looks like."""
