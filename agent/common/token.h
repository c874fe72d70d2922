/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sentence of a person as one word of our files and records: printable ASCII without a space, a quote or a backslash. */
#ifndef UNDERSTUDY_TOKEN_H
#define UNDERSTUDY_TOKEN_H

#include <stddef.h>

#define TOKEN_TEXT_MAX 80u                       /* characters of the sentence */
#define TOKEN_SIZE     (3u * TOKEN_TEXT_MAX + 1u) /* of its word, terminated */

/* Space, quote, backslash and % become %XX, what is not printable ASCII becomes ?, an empty text becomes "-".
 * 0, or -E2BIG for more than TOKEN_TEXT_MAX characters. */
int token_encode(const char *text, char ret[TOKEN_SIZE]);

/* The way back; "-" becomes an empty text. 0, or -EBADMSG for what token_encode() never writes. */
int token_decode(const char *token, char ret[TOKEN_TEXT_MAX + 1]);

#endif
