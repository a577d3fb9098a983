"""The words the example company is made of. All people, streets and companies are made up."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    """
    Ana Beatriz Bruno Caio Camila Carla Carlos Cecília Clara Daniel Davi Débora Diego Eduardo Elisa Enzo
    Fábio Fernanda Flávia Gabriel Gabriela Giovana Guilherme Gustavo Helena Heitor Igor Inês Isabela
    Ítalo Janaína João Joaquim Júlia Juliana Karina Larissa Laura Leandro Letícia Lívia Lorena Luana
    Lucas Luís Luíza Manuela Marcelo Márcia Mariana Mateus Melissa Miguel Milena Mônica Murilo Natália
    Nicole Otávio Patrícia Paula Pedro Rafael Raquel Rebeca Renata Ricardo Rita Roberto Rodrigo Rosana
    Sabrina Samuel Sandra Sérgio Simone Sofia Tânia Teresa Thaís Thiago Tomás Valéria Vera Vicente
    Vinícius Vitória Yasmin
    """
)

LAST_NAMES = _words(
    """
    Abreu Aguiar Alencar Almeida Alves Amaral Andrade Araújo Azevedo Barbosa Barros Batista Bezerra
    Borges Brandão Brito Camargo Campos Cardoso Carvalho Castro Cavalcanti Coelho Correia Costa Coutinho
    Cunha Dantas Dias Domingues Duarte Esteves Falcão Faria Ferraz Ferreira Figueiredo Fonseca Freitas
    Furtado Galvão Garcia Gomes Gonçalves Guedes Guimarães Leal Leite Lemos Lima Lopes Macedo Machado
    Magalhães Maia Marques Martins Medeiros Meireles Melo Mendes Menezes Miranda Monteiro Moraes Moreira
    Moura Nascimento Neves Nogueira Nunes Oliveira Pacheco Paiva Peixoto Pereira Pinheiro Pinto Pires
    Queiroz Ramos Rangel Reis Rezende Ribeiro Rocha Rodrigues Sales Sampaio Santana Santos Silva
    Silveira Siqueira Soares Souza Tavares Teixeira Toledo Torres Vargas Vasconcelos Vieira Xavier
    """
)

STREETS = (
    "Rua das Constelações",
    "Avenida do Cruzeiro do Sul",
    "Rua Via Láctea",
    "Travessa do Cometa",
    "Alameda dos Planetas",
    "Rua do Eclipse",
    "Avenida Três Marias",
    "Rua da Lua Nova",
    "Rua das Sete Estrelas",
    "Praça do Sol Nascente",
    "Rua do Vento Norte",
    "Avenida das Marés",
)
DISTRICTS = (
    "Centro",
    "Jardim Aurora",
    "Vila Estelar",
    "Bela Vista",
    "Boa Esperança",
    "Alto do Observatório",
    "Parque das Águas",
)
CITIES = (
    ("São Paulo", "SP", "São Paulo", "01", "11"),
    ("Campinas", "SP", "São Paulo", "13", "19"),
    ("Rio de Janeiro", "RJ", "Rio de Janeiro", "20", "21"),
    ("Belo Horizonte", "MG", "Minas Gerais", "30", "31"),
    ("Curitiba", "PR", "Paraná", "80", "41"),
    ("Porto Alegre", "RS", "Rio Grande do Sul", "90", "51"),
    ("Florianópolis", "SC", "Santa Catarina", "88", "48"),
    ("Salvador", "BA", "Bahia", "40", "71"),
    ("Recife", "PE", "Pernambuco", "50", "81"),
    ("Fortaleza", "CE", "Ceará", "60", "85"),
    ("Brasília", "DF", "Distrito Federal", "70", "61"),
    ("Manaus", "AM", "Amazonas", "69", "92"),
)

BROWSERS = (
    (
        "Mozilla/5.0 (Linux; Android 14; SM-A546E) "
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Mobile Safari/537.36"
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) "
        "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1"
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) "
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36"
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) "
        "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15"
    ),
)

# title, kind, price in cents, weight in grams, variant titles
CATALOGUE: dict[str, tuple[tuple[str, str, int, int, tuple[str, ...]], ...]] = {
    "arcsat": (
        ("Telescópio refrator 70 mm Aurora", "Telescópios", 89900, 4200, ()),
        ("Telescópio refletor 114 mm Andrômeda", "Telescópios", 149900, 7800, ()),
        ("Telescópio dobsoniano 150 mm Cruzeiro", "Telescópios", 249900, 14500, ()),
        ("Binóculo 10x50 Observador", "Binóculos", 39990, 980, ()),
        ("Binóculo 7x50 Náutico", "Binóculos", 45990, 1050, ()),
        ("Monóculo 8x42 Trilha", "Binóculos", 19990, 340, ()),
        ("Ocular Plössl 10 mm", "Acessórios", 14990, 120, ()),
        ("Ocular Plössl 25 mm", "Acessórios", 13990, 130, ()),
        ("Lente Barlow 2x", "Acessórios", 11990, 150, ()),
        ("Filtro lunar verde", "Acessórios", 5990, 40, ()),
        ("Filtro solar de película", "Acessórios", 12990, 60, ("70 mm", "114 mm", "150 mm")),
        ("Suporte de celular para ocular", "Acessórios", 8990, 210, ()),
        ("Tripé de alumínio 1,60 m", "Acessórios", 22990, 1900, ("Preto", "Prata")),
        ("Planisfério giratório do hemisfério sul", "Mapas e livros", 4990, 180, ()),
        ("Mapa da Lua em tecido", "Mapas e livros", 7990, 220, ()),
        ("Livro Céu do Brasil para iniciantes", "Mapas e livros", 6490, 480, ()),
        ("Atlas de constelações de bolso", "Mapas e livros", 3990, 240, ()),
        ("Caderno do observador", "Mapas e livros", 2990, 260, ("Azul", "Preto")),
        ("Estação meteorológica doméstica Brisa", "Tempo e clima", 42990, 1300, ()),
        ("Pluviômetro digital", "Tempo e clima", 17990, 520, ()),
        ("Anemômetro portátil", "Tempo e clima", 15990, 180, ()),
        ("Termo-higrômetro de parede", "Tempo e clima", 8490, 240, ("Branco", "Madeira")),
        ("Barômetro clássico de latão", "Tempo e clima", 21990, 650, ()),
        ("Antena satelital QFH 137 MHz", "Rádio e satélite", 34990, 1600, ()),
        ("Receptor SDR com cabo", "Rádio e satélite", 27990, 150, ()),
        ("Filtro LNA para satélites meteorológicos", "Rádio e satélite", 24990, 90, ()),
        ("Kit recepção de imagens de satélite", "Rádio e satélite", 79990, 2400, ()),
        ("Camiseta Nebulosa", "Vestuário", 7990, 200, ("P", "M", "G", "GG")),
        ("Moletom Via Láctea", "Vestuário", 16990, 560, ("P", "M", "G", "GG")),
        ("Boné Estação Espacial", "Vestuário", 6990, 110, ()),
        ("Luminária Lua 15 cm", "Casa", 9990, 380, ()),
        ("Projetor de estrelas", "Casa", 13990, 620, ()),
        ("Caneca térmica Órbita 400 ml", "Casa", 7490, 310, ("Azul", "Branca", "Preta")),
        ("Quebra-cabeça Sistema Solar 500 peças", "Casa", 8990, 690, ()),
        ("Lanterna vermelha de cabeça", "Acessórios", 5490, 90, ()),
        ("Bolsa acolchoada para telescópio", "Acessórios", 18990, 900, ()),
    ),
    "lojablock": (
        ("Blocos clássicos 500 peças", "Blocos", 12990, 900, ()),
        ("Blocos clássicos 1.000 peças", "Blocos", 21990, 1700, ()),
        ("Placa base 32x32", "Blocos", 3990, 260, ("Verde", "Azul", "Cinza")),
        ("Kit rodas e eixos", "Blocos", 4990, 310, ()),
        ("Cidade do Sertão 820 peças", "Cenários", 27990, 1900, ()),
        ("Barco do Amazonas 640 peças", "Cenários", 23990, 1500, ()),
        ("Bondinho da montanha 410 peças", "Cenários", 17990, 1100, ()),
        ("Foguete de treino 360 peças", "Cenários", 15990, 980, ()),
        ("Trenzinho com trilhos", "Cenários", 31990, 2300, ()),
        ("Organizador com divisórias", "Acessórios", 6990, 850, ("Pequeno", "Grande")),
        ("Separador de peças", "Acessórios", 1490, 20, ()),
        ("Mochila Bloco", "Acessórios", 14990, 600, ("Vermelha", "Azul")),
    ),
}
GIFT_CARD_TITLE = {"arcsat": "Vale-presente Arcsat", "lojablock": "Vale-presente Loja Block"}

ORDER_NOTES = (
    "Entregar na portaria, falar com {first}. CPF do recebedor: {cpf}.",
    "Por favor ligar antes: {phone}.",
    "É presente! Mandar o código de rastreio para {email}.",
    "Embrulhar separado, por favor.",
    "Sou da escola municipal, nota no CPF {cpf}, obrigada.",
    "Sem pressa na entrega.",
)

COMMENTS = {
    "promoter": (
        "Chegou antes do prazo e muito bem embalado. Recomendo!",
        "Meu filho amou, já vimos os anéis de Saturno.",
        "Atendimento nota dez. Podem me ligar no {phone} se quiserem um depoimento.",
        "Produto excelente, já indiquei para {email}.",
        "A loja resolveu tudo rápido.",
        "Compra simples e entrega rápida, parabéns.",
        "Melhor preço que encontrei e ainda veio com manual em português.",
    ),
    "passive": (
        "Bom produto, mas o frete é caro.",
        "Tudo certo, só demorou um pouco.",
        "O manual podia ser melhor.",
        "Gostei, mas esperava mais da embalagem.",
        "Cumpre o que promete. Dúvida que ficou sem resposta: {email}.",
    ),
    "detractor": (
        "Pedido atrasou dez dias e ninguém respondeu no {phone}.",
        "Veio com a lente riscada, estou esperando a troca.",
        "Pedi o reembolso e ainda não caiu. Meu CPF é {cpf}, verifiquem por favor.",
        "Produto diferente da foto.",
        "Não consegui falar com ninguém, escrevi de {email} duas vezes.",
        "A caixa chegou amassada e faltando peças.",
    ),
}

CHANGES = {
    "arcsat": (
        "Calcula a passagem de satélites no fuso do usuário",
        "Corrige o arredondamento do frete no carrinho",
        "Mostra a fase da Lua na página inicial",
        "Acelera a busca de produtos",
        "Troca a biblioteca de mapas estelares",
        "Guarda o carrinho entre dispositivos",
        "Valida CEP antes do pagamento",
        "Corrige a ordem das imagens de satélite",
        "Aceita Pix com vencimento",
        "Melhora o contraste do tema escuro",
        "Exporta observações em CSV",
        "Avisa quando a estação fica sem sinal",
        "Reduz o tempo de partida do coletor",
        "Traduz os e-mails de pedido",
        "Corrige o fuso do calendário de eclipses",
        "Adiciona testes do decodificador APT",
        "Retira a tela de cadastro antiga",
        "Agrupa alertas de tempestade",
        "Mostra estoque por variante",
        "Remove cookies de terceiros",
    ),
    "lojablock": (
        "Monta a lista de peças por cenário",
        "Corrige o cálculo de peças avulsas",
        "Mostra instruções em passos",
        "Melhora o carregamento das fotos",
        "Aceita cupom no carrinho",
        "Corrige a troca de cores da placa base",
        "Adiciona filtro por idade",
        "Escreve testes do montador",
    ),
}
DEPENDENCIES = ("numpy", "httpx", "pydantic", "ruff", "sgp4", "pillow", "uvicorn", "psycopg")
DEVELOPERS = ("marina-avila", "tiago-orbita", "lia-castro", "rui-sal", "dora-nunes")
ISSUE_TITLES = (
    "Imagem do satélite sai invertida",
    "Erro ao pagar com boleto vencido",
    "Fuso errado no mapa do céu",
    "Cupom não aplica no segundo item",
    "Estação Brisa não envia chuva",
    "Página de produto sem foto",
    "Pedido duplicado ao voltar a página",
    "Alerta de granizo repetido",
)
INCIDENT_TITLES = (
    "Pagamento fora do ar",
    "Loja responde com erro 500",
    "Carrinho perde itens depois da versão nova",
    "Pedidos chegam sem frete",
    "Busca não devolve nada",
)
INCIDENT_LABELS = ("incident", "Incidente", "production-incident")
"""As three people write it."""
