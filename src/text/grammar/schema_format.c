// Formats as regular expressions: from the RFCs that JSON Schema names, without what only rare texts need.
#include "text/grammar/schema_parts.h"

#include <string.h>

#define YEAR_DAY                                                                                                       \
    "((\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8])))"      \
    "|((\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29))"
#define CLOCK  "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?"
#define OFFSET "([zZ]|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
#define LABEL  "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HOST   LABEL "(\\." LABEL "){0,7}"
#define BYTE   "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4   BYTE "(\\." BYTE "){3}"
#define H16    "[0-9A-Fa-f]{1,4}"
#define LS32   "(" H16 ":" H16 "|" IPV4 ")"
#define IPV6                                                                                                           \
    "((" H16 ":){6}" LS32 "|::(" H16 ":){5}" LS32 "|(" H16 ")?::(" H16 ":){4}" LS32 "|((" H16 ":)?" H16 ")?::(" H16    \
    ":){3}" LS32 "|((" H16 ":){0,2}" H16 ")?::(" H16 ":){2}" LS32 "|((" H16 ":){0,3}" H16 ")?::" H16 ":" LS32          \
    "|((" H16 ":){0,4}" H16 ")?::" LS32 "|((" H16 ":){0,5}" H16 ")?::" H16 "|((" H16 ":){0,6}" H16 ")?::)"
#define ATEXT   "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
#define ESCAPED "%[0-9A-Fa-f]{2}"
#define PCHAR   "([A-Za-z0-9._~!$&'()*+,;=:@-]|" ESCAPED ")"
#define QUERY   "(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"
#define AUTHORITY                                                                                                      \
    "(([A-Za-z0-9._~!$&'()*+,;=:-]|" ESCAPED ")*@)?(\\[" IPV6 "\\]|([A-Za-z0-9._~!$&'()*+,;=-]|" ESCAPED ")*)(:\\d*)?"
#define HIER       "(//" AUTHORITY "(/" PCHAR "*)*|/(" PCHAR "+(/" PCHAR "*)*)?|" PCHAR "+(/" PCHAR "*)*|)"
#define SEGMENT_NC "([A-Za-z0-9._~!$&'()*+,;=@-]|" ESCAPED ")+"
#define RELATIVE   "(//" AUTHORITY "(/" PCHAR "*)*|/(" PCHAR "+(/" PCHAR "*)*)?|" SEGMENT_NC "(/" PCHAR "*)*|)"
#define URI        "[A-Za-z][A-Za-z0-9+.-]*:" HIER QUERY
#define POINTER    "(/([^~/]|~[01])*)*"

const char *format_pattern(const char *name) {
    static const struct {
        const char *name, *pattern;
    } formats[] = {
        {"date-time", YEAR_DAY "[tT]" CLOCK OFFSET},
        {"date", YEAR_DAY},
        {"time", CLOCK OFFSET},
        {"duration", "P(((\\d+Y(\\d+M(\\d+D)?)?|\\d+M(\\d+D)?|\\d+D)(T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S))?)|T("
                     "\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S)|\\d+W)"},
        {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
        {"email", ATEXT "+(\\." ATEXT "+)*@" HOST},
        {"hostname", HOST},
        {"ipv4", IPV4},
        {"ipv6", IPV6},
        {"uri", URI},
        {"uri-reference", "(" URI "|" RELATIVE QUERY ")"},
        {"json-pointer", POINTER},
        {"relative-json-pointer", "(0|[1-9]\\d*)(#|" POINTER ")"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i].name, name)) return formats[i].pattern;
    return NULL;
}
