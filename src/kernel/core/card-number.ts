const DIGITS = /^\d(?:[ -]?\d){11,18}$/;

/**
 * True for a text that is a payment card number: 12 to 19 digits, also in groups, with a right check digit.
 * Source: ISO/IEC 7812-1, annex B (the Luhn formula).
 */
export function isCardNumber(text: string): boolean {
  if (!DIGITS.test(text)) return false;
  const digits = text.replace(/\D/g, '');
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    const doubled = i % 2 === 0 ? digit : digit * 2;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}
