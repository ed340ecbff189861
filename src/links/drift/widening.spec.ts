import { describe, expect, it } from '@jest/globals';
import { widens } from './widening.js';

describe('a type that holds every value of another', () => {
  it.each([
    ['smallint', 'integer'],
    ['integer', 'bigint'],
    ['bigint', 'numeric'],
    ['integer', 'numeric(10,0)'],
    ['real', 'double precision'],
    ['numeric(10,2)', 'numeric'],
    ['numeric(10,2)', 'numeric(12,4)'],
    ['character varying(5)', 'character varying(9)'],
    ['character varying(5)', 'character varying'],
    ['character varying', 'text'],
    ['timestamp(3) without time zone', 'timestamp without time zone'],
    ['timestamp(3) with time zone', 'timestamp(6) with time zone'],
    ['bit varying(3)', 'bit varying'],
    ['public.mood', 'public.mood'],
  ])('%s goes into %s, and not back', (from, to) => {
    expect(widens(from, to)).toBe(true);
    if (from !== to) expect(widens(to, from)).toBe(false);
  });

  it.each([
    ['integer', 'numeric(9,0)'],
    ['integer', 'numeric(10,1)'],
    ['integer', 'text'],
    ['integer', 'real'],
    ['numeric(10,2)', 'numeric(12,1)'],
    ['numeric(10,2)', 'numeric(10,4)'],
    ['numeric', 'numeric(100,50)'],
    ['timestamp without time zone', 'timestamp with time zone'],
    ['character(5)', 'character(9)'],
    ['integer[]', 'bigint[]'],
    ['public.mood', 'text'],
    ['json', 'jsonb'],
  ])('%s does not go into %s', (from, to) => expect(widens(from, to)).toBe(false));
});
