#ifndef CONFORMANCE_MSR_RULE_H
#define CONFORMANCE_MSR_RULE_H

// For rules: the call that reads an MSR, its right reply, and answers that are made of it.

#include "rule.h"

enum { MSR = 0x174, MSR_VALUE = 8, MSR_REPLY_SIZE = 20 };

PULSE_STATUS call_read_msr(PPS_ENGINE engine);

// The right reply to call_read_msr, for answers that then spoil it.
void msr_reply(const uint8_t *request, uint8_t *out);

void answer_right(struct fake *fake, const uint8_t *request, size_t len);
void answer_with_byte(struct fake *fake, const uint8_t *request, size_t offset, uint8_t byte);
void answer_wrong_echo(struct fake *fake, const uint8_t *request, size_t len);
void answer_text_first(struct fake *fake, const uint8_t *request, size_t len);
void answer_twice(struct fake *fake, const uint8_t *request, size_t len);

// To the fourth packet, which is the request's last repeat.
void answer_late(struct fake *fake, const uint8_t *request, size_t len);

#endif
