import { Kind, type TSchema, Type, TypeRegistry } from '@sinclair/typebox';

/** Building blocks of payload schemas, so that the same thing looks the same in every event. */
export const uuid = (description?: string) =>
  Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', ...(description && { description }) });

export const timestamp = (description: string) =>
  Type.String({
    pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$',
    description: `${description}; RFC 3339, UTC`,
  });

export const text = (description: string, maxLength = 255) => Type.String({ minLength: 1, maxLength, description });

export const currency = () => Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217 code' });

export const traceId = () => Type.String({ pattern: '^[0-9a-f]{32}$', description: 'W3C trace id' });

export const count = (description: string) => Type.Integer({ minimum: 0, description });

/** `amount` in major units and `amount_minor`, the exact integer; greater than zero. */
export const amountFields = {
  amount: Type.Number({ exclusiveMinimum: 0, description: 'in major units' }),
  amount_minor: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'in minor units, exact' }),
  currency: currency(),
};

/** A balance in both units, under the given name; it may be below zero. */
export const balanceFields = <Name extends string>(name: Name) =>
  ({
    [name]: Type.Number({ description: 'in major units' }),
    [`${name}_minor`]: Type.Integer({
      minimum: Number.MIN_SAFE_INTEGER,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'in minor units, exact',
    }),
  }) as Record<Name, ReturnType<typeof Type.Number>> & Record<`${Name}_minor`, ReturnType<typeof Type.Integer>>;

const STRING_ENUM = 'StringEnum';

TypeRegistry.Set<TSchema & { readonly enum: readonly string[] }>(STRING_ENUM, (schema, value) =>
  schema.enum.includes(value as string),
);

/** One of several fixed words, as JSON Schema's `enum`: readers of the OpenAPI document know that better than `anyOf`. */
export const oneOf = <const Words extends readonly string[]>(words: Words, description?: string) =>
  Type.Unsafe<Words[number]>({
    [Kind]: STRING_ENUM,
    type: 'string',
    enum: [...words],
    ...(description && { description }),
  });
