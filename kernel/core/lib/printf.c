/* SPDX-License-Identifier: MIT */
/* Formatted printing, the part of C's that the kernel uses; kernel.h lists it. Lengths as in C: what would have been
 * written, the NUL not counted. */
#include "kernel.h"

struct output {
    char *buf;
    size_t size, len; /* len counts what does not fit, too */
};

struct spec {
    bool left, zero, alt, upper;
    int width, precision; /* precision -1: none given */
};

static void put_char(struct output *out, char c)
{
    if (out->len + 1 < out->size)
        out->buf[out->len] = c;
    out->len++;
}

static void put_fill(struct output *out, char c, int n)
{
    while (n-- > 0)
        put_char(out, c);
}

static void put_string(struct output *out, const char *s, size_t n, const struct spec *spec)
{
    int fill = n < (size_t)spec->width ? spec->width - (int)n : 0;
    if (!spec->left)
        put_fill(out, ' ', fill);
    for (size_t i = 0; i < n; i++)
        put_char(out, s[i]);
    if (spec->left)
        put_fill(out, ' ', fill);
}

static void put_number(struct output *out, u64 v, unsigned base, bool negative, const struct spec *spec)
{
    const char *digits = spec->upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char buf[24], prefix[3];
    int n = 0, np = 0, zeros, fill;

    if (negative)
        prefix[np++] = '-';
    if (spec->alt && base == 16 && v) {
        prefix[np++] = '0';
        prefix[np++] = spec->upper ? 'X' : 'x';
    }
    if (v || spec->precision) /* C: the value 0 with precision 0 has no digits */
        do {
            buf[n++] = digits[v % base];
            v /= base;
        } while (v);
    zeros = spec->precision > n ? spec->precision - n : 0;
    if (spec->alt && base == 8 && !zeros && (!n || buf[n - 1] != '0'))
        zeros = 1;
    fill = spec->width - n - np - zeros;
    if (fill > 0 && spec->zero && !spec->left && spec->precision < 0) {
        zeros += fill;
        fill = 0;
    }
    if (!spec->left)
        put_fill(out, ' ', fill);
    for (int i = 0; i < np; i++)
        put_char(out, prefix[i]);
    put_fill(out, '0', zeros);
    while (n)
        put_char(out, buf[--n]);
    if (spec->left)
        put_fill(out, ' ', fill);
}

/* Decimal number in a format; large ones stop growing. */
static int parse_number(const char **fmt)
{
    int n = 0;
    for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
        if (n < 10000)
            n = n * 10 + (**fmt - '0');
    return n;
}

/* Length modifiers as bits that an argument has. */
static int parse_length(const char **fmt)
{
    switch (**fmt) {
    case 'h':
        (*fmt)++;
        if (**fmt != 'h')
            return 16;
        (*fmt)++;
        return 8;
    case 'l':
        (*fmt)++;
        if (**fmt == 'l')
            (*fmt)++;
        return 64;
    case 'z': (*fmt)++; return 64;
    default: return 32;
    }
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct output out = {buf, size, 0};

    for (; *fmt; fmt++) {
        struct spec spec = {.precision = -1};
        if (*fmt != '%') {
            put_char(&out, *fmt);
            continue;
        }
        for (fmt++;; fmt++) {
            if (*fmt == '-')
                spec.left = true;
            else if (*fmt == '0')
                spec.zero = true;
            else if (*fmt == '#')
                spec.alt = true;
            else
                break;
        }
        if (*fmt == '*') {
            fmt++;
            spec.width = va_arg(ap, int);
            if (spec.width < 0) {
                spec.left = true;
                spec.width = spec.width < -10000 ? 10000 : -spec.width;
            }
        } else {
            spec.width = parse_number(&fmt);
        }
        if (*fmt == '.') {
            fmt++;
            if (*fmt == '*') {
                fmt++;
                spec.precision = va_arg(ap, int);
                if (spec.precision < 0)
                    spec.precision = -1;
            } else {
                spec.precision = parse_number(&fmt);
            }
        }
        int bits = parse_length(&fmt);
        switch (*fmt) {
        case 'd':
        case 'i': {
            s64 v = bits == 64 ? va_arg(ap, s64) : va_arg(ap, int);
            if (bits == 16)
                v = (s16)v;
            else if (bits == 8)
                v = (s8)v;
            put_number(&out, v < 0 ? 0 - (u64)v : (u64)v, 10, v < 0, &spec);
            break;
        }
        case 'u':
        case 'x':
        case 'X':
        case 'o': {
            u64 v = bits == 64 ? va_arg(ap, u64) : va_arg(ap, u32);
            if (bits < 32)
                v &= (1u << bits) - 1;
            spec.upper = *fmt == 'X';
            put_number(&out, v, *fmt == 'u' ? 10 : *fmt == 'o' ? 8 : 16, false, &spec);
            break;
        }
        case 'p':
            spec.alt = true;
            put_number(&out, (u64)va_arg(ap, void *), 16, false, &spec);
            break;
        case 'c': {
            char c = (char)va_arg(ap, int);
            put_string(&out, &c, 1, &spec);
            break;
        }
        case 's': {
            const char *s = va_arg(ap, const char *);
            if (!s)
                s = "(null)";
            put_string(&out, s, spec.precision >= 0 ? strnlen(s, (size_t)spec.precision) : strlen(s), &spec);
            break;
        }
        case '%': put_char(&out, '%'); break;
        default: /* shown as it is: a mistake of ours, but no reason to read arguments of unknown size */
            put_char(&out, '%');
            if (!*fmt)
                goto done;
            put_char(&out, *fmt);
        }
    }
done:
    if (size)
        buf[min(out.len, size - 1)] = 0;
    return (int)out.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
